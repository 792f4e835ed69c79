// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/program/run_config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <iterator>
#include <optional>

#include "lib/ebpf/program/btf.h"

namespace crema::ebpf {
namespace {

constexpr std::string_view kSection = ".xdp_run_config";
constexpr std::string_view kPrefix = "XDP_";
constexpr std::array<std::string_view, 5> kVerdicts = {"ABORTED", "DROP", "PASS", "TX", "REDIRECT"};

/// The bit of the verdict of that name, which may lack the prefix and be written small.
std::optional<std::uint32_t> bit_of(std::string_view text) {
    std::string name(text);
    std::ranges::transform(name, name.begin(), [](unsigned char letter) {
        return static_cast<char>(std::toupper(letter));
    });
    std::string_view rest = name;
    if (rest.starts_with(kPrefix)) {
        rest.remove_prefix(kPrefix.size());
    }
    const auto* const found = std::ranges::find(kVerdicts, rest);
    return found == kVerdicts.end()
               ? std::nullopt
               : std::optional(std::uint32_t{1}
                               << static_cast<unsigned>(found - kVerdicts.begin()));
}

/// A number that is declared as the length of an array behind a pointer, as in maps of BTF.
std::optional<std::uint32_t> number_in(const Btf& btf, std::uint32_t type) {
    const std::uint32_t bare = btf.bare(type);
    if (btf.bare_type(bare).kind != BtfKind::pointer) {
        return std::nullopt;
    }
    const auto array = btf.array(btf.referenced(bare));
    return array ? std::optional(array->count) : std::nullopt;
}

/// The type of the variable `name` in the section; 0: there is none.
std::uint32_t variable_in(const Btf& btf, std::uint32_t section, std::string_view name) {
    for (const BtfSectionVariable& one : btf.section_variables(section)) {
        if (btf.name_of(one.type) == name) {
            return btf.bare(btf.referenced(one.type));
        }
    }
    return 0;
}

Status take_member(const Btf& btf, const BtfMember& member, RunConfig& config) {
    const auto number = number_in(btf, member.type);
    if (!number) {
        return fail(EINVAL, "{} is no number", member.name);
    }
    if (member.name == "priority") {
        config.priority = *number;
        return {};
    }
    const auto bit = member.name.starts_with(kPrefix) ? bit_of(member.name) : std::nullopt;
    if (!bit) {
        return fail(EINVAL, "{} is neither priority nor a verdict", member.name);
    }
    config.actions = *number != 0 ? config.actions | *bit : config.actions & ~*bit;
    return {};
}

}  // namespace

std::string_view full_name_of(const Program& program) {
    return program.functions.empty() || program.functions.front().name.empty()
               ? std::string_view(program.name)
               : std::string_view(program.functions.front().name);
}

Result<RunConfig> run_config_of(const Program& program) {
    RunConfig config;
    if (program.btf == nullptr) {
        return config;
    }
    const Btf& btf = *program.btf;
    const std::uint32_t section = btf.find(BtfKind::data_section, kSection);
    const std::string_view name = full_name_of(program);
    const std::uint32_t type =
        section != 0 ? variable_in(btf, section, "_" + std::string(name)) : 0;
    if (type == 0) {
        return config;
    }
    if (btf.bare_type(type).kind != BtfKind::structure) {
        return fail(EINVAL, "run configuration of {}: it is no structure", name);
    }
    for (const BtfMember& member : btf.members(type)) {
        if (const Status taken = take_member(btf, member, config); !taken) {
            return fail(EINVAL, "run configuration of {}: {}", name, taken.error().message);
        }
    }
    return config;
}

std::string actions_text(std::uint32_t actions) {
    std::string text;
    for (std::size_t i = 0; i < kVerdicts.size(); ++i) {
        if ((actions >> i & 1) != 0) {
            fmt::format_to(std::back_inserter(text), "{}{}{}", text.empty() ? "" : ",", kPrefix,
                           kVerdicts[i]);
        }
    }
    return text;
}

Result<std::uint32_t> actions_of(std::string_view text) {
    if (text == "none") {
        return 0U;
    }
    std::uint32_t actions = 0;
    for (std::string_view rest = text;;) {
        const auto comma = rest.find(',');
        const std::string_view word = rest.substr(0, comma);
        const auto bit = bit_of(word);
        if (!bit) {
            return fail(EINVAL, "'{}' is no verdict: aborted, drop, pass, tx, redirect, or none",
                        word);
        }
        actions |= *bit;
        if (comma == std::string_view::npos) {
            return actions;
        }
        rest.remove_prefix(comma + 1);
    }
}

}  // namespace crema::ebpf
