// SPDX-License-Identifier: BSD-3-Clause
//
// compare_objects [--packets N] OBJECT|FOLDER...: every XDP program of the objects through the
// running kernel and through Crema, one line of JSON each. scripts/objects makes tables of it and
// survives what an object does to this process.
//
// Exit code 0: compared, whatever came of it; 2: wrong usage; 77: there is no kernel to ask.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/selftests/foreign_objects.h"
#include "tests/support/machine.h"

namespace {

using namespace crema::test;
using Json = nlohmann::ordered_json;

constexpr std::size_t kRandomPackets = 500;

Json side(int error, const std::string& reason, std::uint64_t walked) {
    Json out = {{"loads", error == 0}};
    if (error == 0) {
        out["walked_instructions"] = walked;
    } else {
        out["errno"] = error;
        out["error"] = std::strerror(error);
        out["reason"] = reason;
    }
    return out;
}

Json to_json(const std::string& path, const Encounter& each) {
    Json verdicts = Json::object();
    for (const auto& [verdict, packets] : each.verdicts) {
        verdicts[std::to_string(verdict)] = packets;
    }
    return {{"object", path},
            {"program", each.program},
            {"section", each.section},
            {"older_form", each.older_form},
            {"meeting", name_of(each.meeting)},
            {"kernel", side(each.kernel_error, each.kernel_reason, each.kernel_insns)},
            {"crema", side(each.crema_error, each.crema_reason, each.crema_insns)},
            {"packets", each.packets},
            {"verdicts", std::move(verdicts)},
            {"undetermined_packets", each.undetermined_packets},
            {"undetermined_entries", each.undetermined_entries},
            {"difference", each.difference}};
}

}  // namespace

int main(int argc, char** argv) {
    constexpr int kUsage = 2, kSkipped = 77;
    std::size_t random_packets = kRandomPackets;
    int first = 1;
    if (argc > 2 && std::strcmp(argv[1], "--packets") == 0) {
        random_packets = std::strtoull(argv[2], nullptr, 10);
        first = 3;
    }
    if (first >= argc || argv[first][0] == '-') {
        (void)std::fputs("usage: compare_objects [--packets N] OBJECT|FOLDER...\n", stderr);
        return kUsage;
    }
    for (const auto& ready : {prepare_kernel(), prepare_crema()}) {
        if (!ready) {
            fmt::print(stderr, "compare_objects: {}\n", ready.error().message);
            return kSkipped;
        }
    }
    for (int i = first; i < argc; ++i) {
        for (const std::string& path : objects_in(argv[i])) {
            for (const Encounter& each : meet(path, random_packets)) {
                fmt::print(
                    "{}\n",
                    to_json(path, each).dump(-1, ' ', false, Json::error_handler_t::replace));
            }
            (void)std::fflush(stdout);
        }
    }
    return 0;
}
