// SPDX-License-Identifier: BSD-3-Clause
//
// See record.h. A line is written by one call, so that a reader never sees a part of it.
#include "tests/fuzz/record.h"

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fstream>
#include <sys/utsname.h>

namespace crema::test::fuzz {
namespace {

constexpr const char* kNextSeed = "\"next_seed\":";

std::string campaign_field(const std::string& campaign) {
    return fmt::format("\"campaign\":\"{}\"", campaign);
}

std::string kernel_release() {
    utsname name{};
    return ::uname(&name) == 0 ? fmt::format("{} {}", name.release, name.machine) : "unknown";
}

std::string now() {
    const std::time_t seconds = std::time(nullptr);
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(seconds));
}

}  // namespace

Record::Record(std::string path, std::string campaign, std::string commit)
    : path_(std::move(path)), campaign_(std::move(campaign)), commit_(std::move(commit)) {}

std::uint64_t Record::next_seed(std::uint64_t otherwise) const {
    std::ifstream file(path_);
    std::string line;
    std::uint64_t seed = otherwise;
    while (std::getline(file, line)) {
        const std::size_t at = line.find(kNextSeed);
        if (at != std::string::npos && line.find(campaign_field(campaign_)) != std::string::npos) {
            seed = std::strtoull(line.c_str() + at + std::string(kNextSeed).size(), nullptr, 10);
        }
    }
    return seed;
}

bool Record::add(const RecordLine& line) const {
    std::string text = fmt::format(
        "{{{},\"commit\":\"{}\",\"ended\":\"{}\",\"kernel\":\"{}\",\"first_seed\":{},{}{}",
        campaign_field(campaign_), commit_, now(), kernel_release(), line.first_seed, kNextSeed,
        line.next_seed);
    for (const auto& [name, value] : line.figures) {
        text += fmt::format(",\"{}\":{}", name, value);
    }
    text += fmt::format(",\"seconds\":{:.1f}", line.seconds);
    for (const auto& [name, counts] : line.tables) {
        text += fmt::format(",\"{}\":{{", name);
        const char* separator = "";
        for (const auto& [what, count] : counts) {
            text += fmt::format("{}\"{}\":{}", separator, what, count);
            separator = ",";
        }
        text += "}";
    }
    text += "}\n";
    std::ofstream file(path_, std::ios::app);
    file << text << std::flush;
    return file.good();
}

}  // namespace crema::test::fuzz
