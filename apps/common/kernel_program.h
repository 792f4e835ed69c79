// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel's side of measurements and comparisons: an object loaded by the system's shared libbpf
// and run by BPF_PROG_TEST_RUN. Needs bpf(2); where that is refused, load() says so. Not part of
// libcrema, whose private libbpf is served in user space.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/common/turns.h"
#include "lib/base/result.h"

struct bpf_object;

namespace crema::app {

class KernelProgram {
  public:
    /// Loads the XDP programs of the object, or `program` alone when another of them is refused.
    /// The error's message ends with the verifier's last word.
    [[nodiscard]] static Result<std::unique_ptr<KernelProgram>> load(const std::string& path,
                                                                     const std::string& program);

    /// The program that passes everything without looking: what a test run costs by itself.
    [[nodiscard]] static Result<std::unique_ptr<KernelProgram>> load_empty();

    ~KernelProgram();
    KernelProgram(const KernelProgram&) = delete;
    KernelProgram& operator=(const KernelProgram&) = delete;
    KernelProgram(KernelProgram&&) = delete;
    KernelProgram& operator=(KernelProgram&&) = delete;

    /// One entry; value: as bpf(2) takes it. Programs and devices in values are the kernel's.
    [[nodiscard]] Status update(const std::string& map,
                                std::span<const std::uint8_t> key,
                                std::span<const std::uint8_t> value);
    /// Puts the object's program into a slot of a program array.
    [[nodiscard]] Status update_program(const std::string& map,
                                        std::span<const std::uint8_t> key,
                                        const std::string& program);

    struct Run {
        std::uint32_t retval = 0;
        std::vector<std::uint8_t> bytes{};  // metadata and packet after the run
    };

    [[nodiscard]] Result<Run> run(std::span<const std::uint8_t> packet, std::uint32_t repeat) const;

    /// Only runs, `repeat` times in one call, nothing comes back but the last verdict.
    [[nodiscard]] Result<std::uint32_t> time(std::span<const std::uint8_t> packet,
                                             std::uint32_t repeat) const;

  private:
    KernelProgram(bpf_object* object, int program) : object_(object), program_(program) {}

    bpf_object* object_;  // null: `program_` is ours alone
    int program_;
};

/// As an engine of a measurement.
[[nodiscard]] Engine engine_of(std::string name, std::unique_ptr<KernelProgram> program);

}  // namespace crema::app
