// SPDX-License-Identifier: BSD-3-Clause
#include "apps/crema/output.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <iterator>

#include "apps/crema/stand_in.h"
#include "lib/xdp/hook.h"

namespace crema::command {
namespace {

Result<std::uint32_t> interface_of(std::string_view text) {
    const auto number = app::integer_of(text);
    if (!number || *number < 1 || *number > xdp::kPortsMax) {
        return fail(EINVAL, "'{}' is no interface number (1 to {})", text, xdp::kPortsMax);
    }
    const auto ifindex = static_cast<std::uint32_t>(*number);
    if (const Status registered = register_stand_in(ifindex); !registered) {
        return forward_error(registered);
    }
    return ifindex;
}

}  // namespace

void print(const std::string& text) {
    (void)std::fwrite(text.data(), 1, text.size(), stdout);
}

void say_error(const std::string& message) {
    (void)std::fflush(stdout);
    (void)std::fprintf(stderr, "crema: %s\n", message.c_str());
}

std::string verdict_name(std::uint32_t retval) {
    static constexpr std::array<const char*, 5> kNames = {"XDP_ABORTED", "XDP_DROP", "XDP_PASS",
                                                          "XDP_TX", "XDP_REDIRECT"};
    return retval < kNames.size() ? kNames[retval] : fmt::format("XDP_ABORTED ({})", retval);
}

std::string hex(std::span<const std::uint8_t> bytes) {
    std::string text;
    text.reserve(2 * bytes.size());
    for (const std::uint8_t byte : bytes) {
        fmt::format_to(std::back_inserter(text), "{:02x}", byte);
    }
    return text;
}

Result<std::vector<const ebpf::loader::JudgedProgram*>> chosen(const ebpf::loader::Object& object,
                                                               const ObjectOptions& options) {
    std::vector<const ebpf::loader::JudgedProgram*> programs;
    std::string names;
    for (const auto& judged : object.judged()) {
        names += (names.empty() ? "" : ", ") + judged.name;
        if (options.program.empty() || options.program == judged.name) {
            programs.push_back(&judged);
        }
    }
    if (programs.empty()) {
        return fail(ENOENT, "{}: no XDP program '{}': it has {}", options.object, options.program,
                    names);
    }
    return programs;
}

std::string full_name(const ebpf::loader::Object& object, const ebpf::LoadedProgram& program) {
    for (const auto& judged : object.judged()) {
        if (judged.judgement.loaded.get() == &program) {
            return judged.name;
        }
    }
    return program.program.name;
}

Result<Subject> load_subject(const ObjectOptions& options,
                             const std::vector<app::MapSetting>& settings,
                             ebpf::Engine how) {
    auto object = ebpf::loader::Object::judge(options.object, 0, how);
    if (!object) {
        return forward_error(object);
    }
    auto program = object->program(options.program);
    if (!program) {
        return forward_error(program);
    }
    for (const app::MapSetting& setting : settings) {
        const auto map = object->map(setting.map);
        if (!map) {
            return forward_error(map);
        }
        if (const Status done = app::set_entry(**map, setting, *object, interface_of); !done) {
            return fail(done.error().code, "{}: map setting {}: {}", options.object, setting.text(),
                        done.error().message);
        }
    }
    return Subject{.object = std::move(*object), .program = std::move(*program)};
}

}  // namespace crema::command
