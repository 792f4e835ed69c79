// SPDX-License-Identifier: BSD-3-Clause
//
// bpf(2) through the shared libbpf: this file must not be part of libcrema, whose private libbpf is
// served in user space.
#include "benchmarks/kernel_program.h"

#include <cerrno>
#include <cstring>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

namespace crema::bench {

Result<std::unique_ptr<KernelProgram>> KernelProgram::load(const std::string& path,
                                                           const std::string& program) {
    libbpf_set_print(nullptr);
    bpf_object* object = bpf_object__open(path.c_str());
    if (object == nullptr) {
        return fail(errno, "kernel: {} cannot be opened: {}", path, std::strerror(errno));
    }
    const int error = bpf_object__load(object);
    const bpf_program* found = bpf_object__find_program_by_name(object, program.c_str());
    if (error != 0 || found == nullptr) {
        bpf_object__close(object);
        return fail(error != 0 ? -error : ENOENT, "kernel: {} does not load: {}", path,
                    error != 0 ? std::strerror(-error) : "no such program");
    }
    return std::unique_ptr<KernelProgram>(new KernelProgram(object, bpf_program__fd(found)));
}

KernelProgram::~KernelProgram() {
    bpf_object__close(object_);
}

Result<KernelProgram::Run> KernelProgram::run(std::span<const std::uint8_t> packet,
                                              std::uint32_t repeat) const {
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = packet.data();
    options.data_size_in = static_cast<std::uint32_t>(packet.size());
    options.repeat = static_cast<int>(repeat);
    const int error = bpf_prog_test_run_opts(program_, &options);
    if (error != 0) {
        return fail(-error, "kernel: BPF_PROG_TEST_RUN: {}", std::strerror(-error));
    }
    return Run{.retval = options.retval, .duration_ns = options.duration};
}

}  // namespace crema::bench
