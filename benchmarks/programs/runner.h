// SPDX-License-Identifier: BSD-3-Clause
//
// Runs one program over one packet again and again, whatever the program is: machine code of ours,
// the interpreter, or the twin that clang made. The loop is the same code for all of them and does
// what xdp::test_run does per run, so that a ratio is of the programs alone.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>

#include "apps/common/turns.h"
#include "lib/ebpf/abi/xdp_buff.h"

namespace crema::bench {

class Runner {
  public:
    Runner(ebpf::EntryPoint entry, const void* self);

    /// Verdict, and metadata and bytes after one run on a fresh copy.
    [[nodiscard]] std::pair<std::uint32_t, app::Bytes> run(const app::Bytes& packet);

    /// `repeat` runs on one buffer, each finds what the one before left.
    void time(const app::Bytes& packet, std::uint32_t repeat);

    [[nodiscard]] ebpf::XdpBuff* buff() { return &state_->buff; }

  private:
    struct State {
        alignas(ebpf::kTestRunPageBytes) std::array<std::uint8_t, ebpf::kTestRunPageBytes> page;
        ebpf::XdpBuff buff;
    };

    void place(const app::Bytes& packet);

    ebpf::EntryPoint entry_;
    const void* self_;
    std::unique_ptr<State> state_;
};

/// As an engine of a measurement. `keep`: what must outlive the runs.
[[nodiscard]] app::Engine engine_of(std::string name,
                                    const std::shared_ptr<Runner>& runner,
                                    const std::shared_ptr<const void>& keep);

}  // namespace crema::bench
