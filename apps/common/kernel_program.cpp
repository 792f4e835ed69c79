// SPDX-License-Identifier: BSD-3-Clause
#include "apps/common/kernel_program.h"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

namespace crema::app {
namespace {

thread_local std::string messages;

[[gnu::format(printf, 2, 0)]] int keep(libbpf_print_level level,
                                       const char* format,
                                       va_list arguments) {
    if (level != LIBBPF_WARN) {
        return 0;
    }
    constexpr std::size_t kBytesMax = std::size_t{64} << 10;
    std::string text(kBytesMax, '\0');
    const int wanted = std::vsnprintf(text.data(), text.size(), format, arguments);
    messages += text.c_str();
    return wanted;
}

/// The line in which the verifier says why, or the first thing that libbpf said.
std::string reason() {
    constexpr std::string_view kLogEnd = "processed ";
    const std::size_t end = messages.rfind(kLogEnd);
    std::string_view text = messages;
    if (end != std::string::npos && end > 1) {
        text = text.substr(0, end - 1);
        const std::size_t line = text.rfind('\n');
        return std::string(line == std::string_view::npos ? text : text.substr(line + 1));
    }
    return std::string(text.substr(0, text.find('\n')));
}

/// Marks what is to be loaded. only: this program alone; empty: every XDP program.
void choose(bpf_object* object, const std::string& only) {
    bpf_program* program = nullptr;
    while ((program = bpf_object__next_program(object, program)) != nullptr) {
        const std::string_view section = bpf_program__section_name(program);
        if (bpf_program__type(program) == BPF_PROG_TYPE_UNSPEC && section.starts_with("xdp")) {
            bpf_program__set_type(program, BPF_PROG_TYPE_XDP);
        }
        if (bpf_program__type(program) != BPF_PROG_TYPE_XDP ||
            (!only.empty() && only != bpf_program__name(program))) {
            bpf_program__set_autoload(program, false);
        }
    }
    bpf_map* map = nullptr;
    while ((map = bpf_object__next_map(object, map)) != nullptr) {
        bpf_map__set_pin_path(map, nullptr);
    }
}

/// A loaded object, or null and errno.
bpf_object* open_and_load(const std::string& path, const std::string& only) {
    messages.clear();
    libbpf_set_print(keep);
    bpf_object* object = bpf_object__open(path.c_str());
    if (object == nullptr) {
        return nullptr;
    }
    choose(object, only);
    if (const int error = bpf_object__load(object); error != 0) {
        bpf_object__close(object);
        errno = -error;
        return nullptr;
    }
    return object;
}

}  // namespace

Result<std::unique_ptr<KernelProgram>> KernelProgram::load(const std::string& path,
                                                           const std::string& program) {
    bpf_object* object = open_and_load(path, "");
    if (object == nullptr) {
        object = open_and_load(path, program);
    }
    if (object == nullptr) {
        const int code = errno;
        return fail(code, "{} does not load ({}): {}", path, std::strerror(code), reason());
    }
    const bpf_program* found = bpf_object__find_program_by_name(object, program.c_str());
    if (found == nullptr || bpf_program__fd(found) < 0) {
        bpf_object__close(object);
        return fail(ENOENT, "{} has no program {}", path, program);
    }
    return std::unique_ptr<KernelProgram>(new KernelProgram(object, bpf_program__fd(found)));
}

Result<std::unique_ptr<KernelProgram>> KernelProgram::load_empty() {
    const bpf_insn insns[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 2},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
    };
    const int fd =
        bpf_prog_load(BPF_PROG_TYPE_XDP, "empty", "GPL", insns, std::size(insns), nullptr);
    if (fd < 0) {
        return fail(-fd, "bpf(2) is refused: {}", std::strerror(-fd));
    }
    return std::unique_ptr<KernelProgram>(new KernelProgram(nullptr, fd));
}

KernelProgram::~KernelProgram() {
    if (object_ != nullptr) {
        bpf_object__close(object_);
    } else {
        close(program_);
    }
}

Status KernelProgram::update(const std::string& map,
                             std::span<const std::uint8_t> key,
                             std::span<const std::uint8_t> value) {
    const int fd = object_ != nullptr ? bpf_object__find_map_fd_by_name(object_, map.c_str()) : -1;
    const int error = fd < 0 ? -ENOENT : bpf_map_update_elem(fd, key.data(), value.data(), BPF_ANY);
    if (error != 0) {
        return fail(-error, "map {} cannot be set: {}", map, std::strerror(-error));
    }
    return {};
}

Status KernelProgram::update_program(const std::string& map,
                                     std::span<const std::uint8_t> key,
                                     const std::string& program) {
    const bpf_program* const found =
        object_ != nullptr ? bpf_object__find_program_by_name(object_, program.c_str()) : nullptr;
    if (found == nullptr) {
        return fail(ENOENT, "no program {} to put into map {}", program, map);
    }
    const int fd = bpf_program__fd(found);
    std::uint8_t value[sizeof(fd)];
    std::memcpy(value, &fd, sizeof(fd));
    return update(map, key, value);
}

Result<KernelProgram::Run> KernelProgram::run(std::span<const std::uint8_t> packet,
                                              std::uint32_t repeat) const {
    constexpr std::size_t kGrowth = 1024;  // a program may add bytes at both ends
    Run run;
    run.bytes.resize(packet.size() + kGrowth);
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = packet.data();
    options.data_size_in = static_cast<std::uint32_t>(packet.size());
    options.data_out = run.bytes.data();
    options.data_size_out = static_cast<std::uint32_t>(run.bytes.size());
    options.repeat = static_cast<int>(repeat);
    const int error = bpf_prog_test_run_opts(program_, &options);
    if (error != 0) {
        return fail(-error, "BPF_PROG_TEST_RUN: {}", std::strerror(-error));
    }
    run.retval = options.retval;
    run.bytes.resize(options.data_size_out);
    return run;
}

Result<std::uint32_t> KernelProgram::time(std::span<const std::uint8_t> packet,
                                          std::uint32_t repeat) const {
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = packet.data();
    options.data_size_in = static_cast<std::uint32_t>(packet.size());
    options.repeat = static_cast<int>(repeat);
    const int error = bpf_prog_test_run_opts(program_, &options);
    if (error != 0) {
        return fail(-error, "BPF_PROG_TEST_RUN: {}", std::strerror(-error));
    }
    return options.retval;
}

Engine engine_of(std::string name, std::unique_ptr<KernelProgram> program) {
    const std::shared_ptr<const KernelProgram> shared = std::move(program);
    return {
        .name = std::move(name),
        .run = [shared](const Bytes& packet) -> Result<std::pair<std::uint32_t, Bytes>> {
            auto result = shared->run(packet, 1);
            if (!result) {
                return forward_error(result);
            }
            return std::pair{result->retval, std::move(result->bytes)};
        },
        .time = [shared](const Bytes& packet, std::uint32_t repeat) -> Status {
            const auto result = shared->time(packet, repeat);
            return result ? Status{} : Status{forward_error(result)};
        },
    };
}

}  // namespace crema::app
