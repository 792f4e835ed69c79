// SPDX-License-Identifier: BSD-3-Clause
//
// Runs of whole packet sequences, and the names of what runs.
#include "tests/conformance/conformance.h"

#include <fmt/format.h>

namespace crema::test {

const Status& kernel_ready() {
    static const Status status = prepare_kernel();
    return status;
}

const Status& crema_ready() {
    static const Status status = prepare_crema();
    return status;
}

std::vector<Variant> all_variants() {
    std::vector<Variant> variants;
    for (std::size_t subject = 0; subject < subjects().size(); ++subject) {
        for (const char* isa : kIsaSuffixes) {
            variants.push_back({subject, isa});
        }
    }
    return variants;
}

std::ostream& operator<<(std::ostream& out, const Variant& variant) {
    return out << subjects()[variant.subject].object << variant.isa << ".bpf.o";
}

std::string variant_name(const testing::TestParamInfo<Variant>& info) {
    std::string name;
    bool is_start = true;
    for (const char letter : subjects()[info.param.subject].object) {
        if (letter == '_') {
            is_start = true;
            continue;
        }
        name += is_start ? static_cast<char>(std::toupper(letter)) : letter;
        is_start = false;
    }
    return name + (info.param.isa.empty() ? "V3" : info.param.isa == ".v1" ? "V1" : "V2");
}

std::uint32_t ifindex_for(std::size_t i) {
    return static_cast<std::uint32_t>(1 + i % kIfindexes);
}

std::string recorded_path(const Subject& subject) {
    return fmt::format("{}/{}.txt", CREMA_RECORDED_DIR, subject.object);
}

Result<Transcript> run_all(LoadedMachine machine, const Subject& subject) {
    if (!machine) {
        return forward_error(machine);
    }
    if (const Status status = set_up(**machine, subject); !status) {
        return forward_error(status);
    }
    Transcript transcript;
    MapState state = (*machine)->maps();
    transcript.initial = state;
    std::size_t i = 0;
    for (const Packet& packet : packets_for(subject)) {
        transcript.steps.push_back(run_step(**machine, packet, ifindex_for(i++), state));
    }
    return transcript;
}

std::vector<std::string> differences(const Transcript& expected, const Transcript& got) {
    std::vector<std::string> found = differences(expected.initial, got.initial);
    if (expected.steps.size() != got.steps.size()) {
        found.push_back(
            fmt::format("{} packets expected, {} run: are the recorded results out of date?",
                        expected.steps.size(), got.steps.size()));
        return found;
    }
    for (std::size_t i = 0; i < expected.steps.size(); ++i) {
        for (std::string& line : differences(expected.steps[i], got.steps[i])) {
            found.push_back(std::move(line));
        }
    }
    return found;
}

std::string screenful(const std::vector<std::string>& lines) {
    constexpr std::size_t kLinesMax = 24;
    std::string text;
    for (std::size_t i = 0; i < lines.size() && i < kLinesMax; ++i) {
        text += lines[i] + "\n";
    }
    if (lines.size() > kLinesMax) {
        text += fmt::format("... and {} more\n", lines.size() - kLinesMax);
    }
    return text;
}

}  // namespace crema::test
