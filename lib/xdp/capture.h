// SPDX-License-Identifier: BSD-3-Clause
//
// Frames as programs get and leave them, for `crema dump`: what fentry and fexit of the kernel's
// xdpdump see. A capture puts itself in front of the start of each watched program, wherever that
// runs: on a port, alone or in a chain, in a slot of a devmap or cpumap, in a test run. Off, it
// costs the path the load of one pointer per burst; on, a filter and a copy per frame, and never a
// wait.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"
#include "lib/ebpf/syscall/loaded_program.h"
#include "lib/xdp/capture_ring.h"

namespace crema::xdp {

/// struct bpf_insn of libpcap: classic BPF, as pcap_compile() makes it for Ethernet.
struct FilterInsn {
    std::uint16_t code;
    std::uint8_t jump_true;
    std::uint8_t jump_false;
    std::uint32_t k;
};

struct CaptureSpec {
    bool at_entry = true;
    bool at_exit = false;
    std::uint32_t ifindex = 0;  // frames that came in there; 0: any
    std::uint32_t snap_bytes = kCaptureSnapMax;
    std::uint64_t ring_bytes = std::uint64_t{4} << 20U;  // per worker
    /// Which frames, by what the program gets; of a frame that is taken the exit is, too. Empty:
    /// all.
    std::vector<FilterInsn> filter;
};

class Capture {
  public:
    /// Nothing is watched yet. EINVAL: a filter that is none, sizes out of bounds; ENOMEM.
    [[nodiscard]] static Result<std::unique_ptr<Capture>> start(const CaptureSpec& spec);

    /// Nobody writes to the file any more afterwards. Control thread.
    ~Capture();
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

    /// Watches these programs and no others. EBUSY: one of them is watched by too many; the others
    /// are watched. Control thread.
    [[nodiscard]] Status watch(std::vector<std::shared_ptr<const ebpf::LoadedProgram>> programs);

    [[nodiscard]] std::size_t watched() const;

    /// The file (capture_ring.h), of this object.
    [[nodiscard]] int fd() const;

    struct State;

  private:
    explicit Capture(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

}  // namespace crema::xdp
