// SPDX-License-Identifier: BSD-3-Clause
#include "lib/xdp/test_run.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <sched.h>
#include <vector>

#include "lib/ebpf/abi/fragments.h"
#include "lib/ebpf/abi/run_scope.h"
#include "lib/ebpf/abi/xdp_buff.h"
#include "lib/xdp/hook.h"
#include "lib/xdp/patience.h"
#include "lib/xdp/port_info.h"
#include "lib/xdp/quiescence.h"

namespace crema::xdp {
namespace {

struct alignas(ebpf::kTestRunPageBytes) Page {
    std::array<std::uint8_t, ebpf::kTestRunPageBytes> bytes;
};

constexpr std::uint32_t kMetaBytesMax = ebpf::kXdpHeadroom - ebpf::kFrameReserve;

}  // namespace

Status check_test_run(const ebpf::Program& program, std::size_t bytes, std::uint32_t meta_bytes) {
    if (program.expected_attach_type == ebpf::kAttachXdpDevmap ||
        program.expected_attach_type == ebpf::kAttachXdpCpumap) {
        return fail(EINVAL, "program {} belongs into a devmap or cpumap: it has no test run",
                    program.name);
    }
    if (program.bound_ifindex != 0) {
        return fail(EINVAL, "program {} is bound to device {}: it has no test run without it",
                    program.name, program.bound_ifindex);
    }
    const std::size_t packet_bytes = bytes - std::min<std::size_t>(bytes, meta_bytes);
    if (packet_bytes < ebpf::kFrameBytesMin) {
        return fail(EINVAL, "packet of {} bytes: an Ethernet frame has at least {}", packet_bytes,
                    ebpf::kFrameBytesMin);
    }
    return {};
}

Status check_test_run(const TestRunContext& context, std::size_t bytes) {
    if (context.data_meta != 0 || context.egress_ifindex != 0) {
        return fail(EINVAL, "context of a test run: data_meta and egress_ifindex must be 0");
    }
    if (context.data > context.data_end || context.data_end > bytes) {
        return fail(EINVAL, "context of a test run: data {} and data_end {} do not lie in {} bytes",
                    context.data, context.data_end, bytes);
    }
    if (context.data % 4 != 0 || context.data > kMetaBytesMax) {
        return fail(EINVAL, "metadata of {} bytes: a multiple of 4, and at most {}", context.data,
                    kMetaBytesMax);
    }
    if (context.ingress_ifindex == 0) {
        return context.rx_queue_index == 0
                   ? Status()
                   : fail(EINVAL, "context of a test run: queue {} of no port",
                          context.rx_queue_index);
    }
    if (port_by_ifindex(context.ingress_ifindex) == nullptr) {
        return fail(ENODEV, "no port has ifindex {}", context.ingress_ifindex);
    }
    if (const std::uint32_t queues = rx_queues_of(context.ingress_ifindex);
        context.rx_queue_index >= queues) {
        return fail(EINVAL, "receive queue {}: the port has {}", context.rx_queue_index, queues);
    }
    return {};
}

namespace {

/// In bursts, as ports run programs: what programs look at must not go while they run, and who
/// waits for that gets a turn now and then. EINTR.
Result<std::uint64_t> run_often(const ebpf::LoadedProgram& program,
                                ebpf::XdpBuff& buff,
                                std::uint32_t runs) {
    constexpr std::uint32_t kRunsAtOnce = 64;
    Reader reader;
    Patience patience;
    std::uint64_t result = 0;
    for (std::uint32_t done = 0; done < runs;) {
        const std::uint32_t burst = std::min(runs - done, kRunsAtOnce);
        reader.enter();
        {
            // Ends before the reader leaves: it wakes those who wait at what the program wrote to.
            const ebpf::RunScope scope(buff);
            ebpf::with_runs_of(program, [&](auto&& run) {
                for (std::uint32_t i = 0; i < burst; ++i) {
                    buff.redirect.kind = ebpf::RedirectTarget::Kind::none;
                    buff.tail_calls = 0;
                    result = run(buff);
                }
            });
        }
        reader.leave();
        done += burst;
        if (done < runs && patience.has_ended()) {
            return fail(EINTR, "test run of {}: nobody waits for its end any more",
                        program.program.name);
        }
    }
    return result;
}

/// The given bytes in a page of the kernel's shape, and in pages behind it what does not fit or is
/// said to lie there.
class Packet {
  public:
    /// linear: bytes of the first piece, metadata included.
    Packet(std::span<const std::uint8_t> bytes, std::uint32_t meta_bytes, std::size_t linear)
        : pages_(new Page[1 + pages_for(bytes.size() - linear)]()) {
        // Zeroed as the kernel's page: a program may grow the frame at its head and read there.
        std::uint8_t* const start = pages_[0].bytes.data();
        buff_.data_hard_start = start;
        buff_.frame_sz = ebpf::kTestRunPageBytes;
        buff_.data = start + ebpf::kXdpHeadroom;
        buff_.data_meta = buff_.data - meta_bytes;
        buff_.data_end = std::copy_n(bytes.begin(), linear, buff_.data_meta);
        if (linear != bytes.size()) {
            add_fragments(bytes.subspan(linear));
        }
    }

    ~Packet() = default;
    Packet(const Packet&) = delete;  // the context points into it
    Packet& operator=(const Packet&) = delete;

    [[nodiscard]] static std::size_t pages_for(std::size_t fragment_bytes) {
        return (fragment_bytes + ebpf::kTestRunPageBytes - 1) / ebpf::kTestRunPageBytes;
    }

    [[nodiscard]] ebpf::XdpBuff& buff() { return buff_; }

    /// Metadata and all pieces.
    [[nodiscard]] std::vector<std::uint8_t> bytes() {
        std::vector<std::uint8_t> all(buff_.data_meta, buff_.data_end);
        if (ebpf::Fragments* const left = ebpf::fragments_of(buff_); left != nullptr) {
            for (const ebpf::Fragment& fragment : *left) {
                all.insert(all.end(), fragment.data, fragment.data + fragment.len);
            }
        }
        return all;
    }

  private:
    void add_fragments(std::span<const std::uint8_t> bytes) {
        fragments_.may_grow = true;
        fragments_.bytes = static_cast<std::uint32_t>(bytes.size());
        for (std::size_t at = 0; at < bytes.size(); at += ebpf::kTestRunPageBytes) {
            const auto part = static_cast<std::uint32_t>(
                std::min<std::size_t>(bytes.size() - at, ebpf::kTestRunPageBytes));
            std::uint8_t* const data = pages_[1 + fragments_.n].bytes.data();
            std::copy_n(&bytes[at], part, data);
            fragments_.all[fragments_.n++] = {.data = data,
                                              .len = part,
                                              .room = ebpf::kTestRunPageBytes - part,
                                              .owner = nullptr};
        }
        fragments_.shown = fragments_.n;
        buff_.fragments = &fragments_;
    }

    std::unique_ptr<Page[]> pages_;
    ebpf::Fragments fragments_{};
    ebpf::XdpBuff buff_{};
};

Result<TestRunResult> run(const ebpf::LoadedProgram& program,
                          std::span<const std::uint8_t> bytes,
                          const TestRunContext& context,
                          std::uint32_t repeat) {
    const std::size_t linear =
        std::min<std::size_t>(context.data_end, context.data + ebpf::kTestRunLinearMax);
    if (Packet::pages_for(bytes.size() - linear) > ebpf::kFragmentsMax) {
        return fail(ENOMEM, "packet of {} bytes: more than {} fragments of {} bytes hold",
                    bytes.size() - context.data, ebpf::kFragmentsMax, ebpf::kTestRunPageBytes);
    }
    Packet packet(bytes, context.data, linear);
    ebpf::XdpBuff& buff = packet.buff();
    buff.ingress_ifindex = context.ingress_ifindex != 0 ? context.ingress_ifindex : 1;
    buff.rx_queue_index = context.rx_queue_index;
    buff.cpu = static_cast<std::uint32_t>(std::max(sched_getcpu(), 0));

    const std::uint32_t runs = std::max(repeat, 1U);
    const auto start = std::chrono::steady_clock::now();
    const auto result = run_often(program, buff, runs);
    const auto spent = std::chrono::steady_clock::now() - start;
    if (!result) {
        return forward_error(result);
    }
    const auto spent_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(spent).count();
    const auto meta_bytes = static_cast<std::uint32_t>(buff.data - buff.data_meta);
    TestRunContext after = context;
    after.data = meta_bytes;
    after.data_end = static_cast<std::uint32_t>(buff.data_end - buff.data_meta);
    return TestRunResult{.retval = static_cast<std::uint32_t>(*result),
                         .bytes = packet.bytes(),
                         .duration_ns = static_cast<std::uint64_t>(spent_ns) / runs,
                         .meta_bytes = meta_bytes,
                         .redirect = buff.redirect,
                         .context = after};
}

[[gnu::constructor]] void install_runner() {
    ebpf::set_test_runner(test_run);
}

}  // namespace

Result<TestRunResult> test_run(const ebpf::LoadedProgram& program,
                               std::span<const std::uint8_t> packet,
                               std::uint32_t ingress_ifindex,
                               std::uint32_t repeat) {
    if (auto allowed = check_test_run(program.program, packet.size(), 0); !allowed) {
        return forward_error(allowed);
    }
    return run(program, packet,
               {.data = 0,
                .data_end = static_cast<std::uint32_t>(packet.size()),
                .data_meta = 0,
                .ingress_ifindex = ingress_ifindex,
                .rx_queue_index = 0,
                .egress_ifindex = 0},
               repeat);
}

Result<TestRunResult> test_run(const ebpf::LoadedProgram& program,
                               std::span<const std::uint8_t> bytes,
                               const TestRunContext& context,
                               std::uint32_t repeat) {
    if (auto valid = check_test_run(context, bytes.size()); !valid) {
        return forward_error(valid);
    }
    if (auto allowed = check_test_run(program.program, bytes.size(), context.data); !allowed) {
        return forward_error(allowed);
    }
    return run(program, bytes, context, repeat);
}

}  // namespace crema::xdp
