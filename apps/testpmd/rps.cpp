// SPDX-License-Identifier: BSD-3-Clause
#include "apps/testpmd/rps.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>

#include "lib/topology/cpus.h"

namespace crema::testpmd {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kCpusMax = 64;  // of the program
constexpr char kObject[] = "cpumap_5tuple.bpf.o";

}  // namespace

Result<RpsSetting> RpsSetting::parse(std::string_view text) {
    const auto wrong = [text] {
        return fail(EINVAL, "'{}' is not auto or a list of CPUs such as 1-3,5, with :FRAMES or not",
                    text);
    };
    RpsSetting setting;
    const std::size_t colon = text.find(':');
    const std::string_view cpus = text.substr(0, colon);
    if (colon != std::string_view::npos) {
        const std::string_view frames = text.substr(colon + 1);
        const auto [end, error] =
            std::from_chars(frames.data(), frames.data() + frames.size(), setting.queue_frames);
        if (error != std::errc{} || end != frames.data() + frames.size() ||
            setting.queue_frames == 0) {
            return wrong();
        }
    }
    if (cpus == "auto") {
        return setting;
    }
    if (cpus.empty() || cpus.find_first_not_of("0123456789,-") != std::string_view::npos) {
        return wrong();
    }
    setting.cpus = topology::parse_cpu_list(cpus);
    if (setting.cpus.empty() || setting.cpus.size() > kCpusMax) {
        return wrong();
    }
    std::ranges::sort(setting.cpus);
    setting.cpus.erase(std::unique(setting.cpus.begin(), setting.cpus.end()), setting.cpus.end());
    return setting;
}

std::vector<app::MapSetting> rps_entries(std::span<const std::uint32_t> cpus,
                                         std::uint32_t queue_frames) {
    std::vector<app::MapSetting> entries;
    // The queues first and the count last: no frame finds a CPU that is not there yet.
    for (std::size_t i = 0; i < cpus.size(); ++i) {
        const std::string cpu = std::to_string(cpus[i]);
        entries.push_back({.map = "cpu_map", .key = cpu, .value = std::to_string(queue_frames)});
        entries.push_back({.map = "cpus_available", .key = std::to_string(i), .value = cpu});
    }
    entries.push_back({.map = "cpus_count", .key = "0", .value = std::to_string(cpus.size())});
    return entries;
}

Result<app::ProgramSpec> rps_program() {
    std::error_code ignored;
    const fs::path folder = fs::read_symlink("/proc/self/exe", ignored).parent_path();
    for (const char* const place : {"../../bpf", CREMA_BPF_FROM_BIN}) {
        const fs::path file = folder / place / kObject;
        if (fs::exists(file, ignored)) {
            app::ProgramSpec spec;
            spec.object = fs::canonical(file, ignored).string();
            spec.program = "cpumap_5tuple";
            return spec;
        }
    }
    return fail(ENOENT, "--rps: {} is neither beside the build of this program nor installed",
                kObject);
}

}  // namespace crema::testpmd
