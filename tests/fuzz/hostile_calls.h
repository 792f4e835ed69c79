// SPDX-License-Identifier: BSD-3-Clause
//
// bpf(2) calls of somebody who means harm or has lost his way: every command, calls that could
// succeed with some words of their attributes replaced, BTF of real objects damaged, descriptors of
// every kind in every place. Whatever a call holds, it must answer.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <linux/bpf.h>

#include "lib/base/unique_fd.h"
#include "lib/ebpf/program/instruction.h"
#include "tests/fuzz/arena.h"
#include "tests/fuzz/dice.h"
#include "tests/fuzz/samples.h"

namespace crema::test::fuzz {

class HostileCalls {
  public:
    struct Answer {
        int command = 0;
        long result = 0;  // a descriptor, another number, or a negative errno
    };

    /// Pins go to files in `pin_folder`. A session of the calling thread must be there.
    HostileCalls(std::uint64_t seed, const Samples& samples, Arena& arena, std::string pin_folder);

    Answer one();

  private:
    enum class Kind : std::uint8_t { map, program, btf, link, any };

    /// Mostly of the kind wanted, sometimes of another, sometimes none of ours.
    [[nodiscard]] std::uint32_t some_fd(Kind kind);
    [[nodiscard]] UniqueFd& place_for(int command);
    [[nodiscard]] std::uint64_t room(std::size_t bytes);  // filled by dice

    [[nodiscard]] std::uint32_t small() { return static_cast<std::uint32_t>(dice_.below(8)); }

    void start_from(int command, bpf_attr& attr);
    void start_map(bpf_attr& attr);
    void start_program(bpf_attr& attr);
    void start_btf(bpf_attr& attr);
    void start_run(bpf_attr& attr);
    void start_batch(bpf_attr& attr);
    void start_element(bpf_attr& attr);
    void start_link(int command, bpf_attr& attr);
    bool start_object(int command, bpf_attr& attr);
    [[nodiscard]] std::vector<ebpf::Insn> some_program();
    void damage_words(bpf_attr& attr);

    Dice dice_;
    const Samples& samples_;
    Arena& arena_;
    std::string pin_folder_;
    std::uint32_t last_id_ = 0;
    static constexpr std::size_t kKinds = 4, kOfEach = 5;
    std::array<UniqueFd, kKinds * kOfEach> fds_;
};

}  // namespace crema::test::fuzz
