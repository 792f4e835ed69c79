// SPDX-License-Identifier: BSD-3-Clause
//
// See neta_self_test.h. Source: hardware page 2.2 (which registers keep what is written), 7.8 (how
// to ask whether a port is coherent), 8.7 (loopback), 4.6 (interrupt conditions).
#include "apps/crema/neta_self_test.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <poll.h>
#include <random>
#include <span>
#include <unistd.h>

#include "apps/crema/neta_loopback.h"
#include "lib/neta/registers.h"
#include "lib/neta/smi.h"
#include "lib/vfio/dma_sync.h"

namespace crema::command {
namespace {

constexpr std::uint32_t kNothing = 0xffffffff;  // what a bus answers for a device that does not
constexpr unsigned kPhys = 32;
constexpr unsigned kPhyId1 = 2;  // registers of IEEE 802.3, clause 22
constexpr unsigned kPhyId2 = 3;
constexpr int kInterruptMs = 500;

Step passed(std::string name, std::string what) {
    return {std::move(name), Step::How::passed, std::move(what)};
}

Step failed(std::string name, std::string what) {
    return {std::move(name), Step::How::failed, std::move(what)};
}

Step skipped(std::string name, std::string what) {
    return {std::move(name), Step::How::skipped, std::move(what)};
}

/// Registers that keep every bit of `mask` and do nothing while queues are off.
struct Keeper {
    const char* name;
    std::uint32_t offset;
    std::uint32_t mask;
};

constexpr std::array kKeepers = {
    Keeper{"MAC_HIGH", neta::kMacHigh, 0xffffffff},
    Keeper{"MAC_LOW", neta::kMacLow, 0xffff},
    Keeper{"VLAN_PRIO_TO_RXQ", neta::kVlanPrioToRxq, 0xffffff},
    Keeper{"DSCP_TO_RXQ_0", neta::dscp_to_rxq(0), 0x3fffffff},
    Keeper{"RXQ_BASE_7", neta::rxq_base(7), 0xffffffe0},
    Keeper{"TXQ_BASE_7", neta::txq_base(7), 0xffffffe0},
    Keeper{"DA_OTHER_MCAST_0", neta::kDaOtherMcast, 0x0f0f0f0f},
};

Step test_identity(const vfio::Registers& registers) {
    const char* const name = "identity";
    const std::array values = {registers.read(neta::kVersion), registers.read(neta::kGmacCtrl0),
                               registers.read(neta::kGmacCtrl2), registers.read(neta::kPortConfig)};
    const auto all = [&values](std::uint32_t what) {
        return std::ranges::all_of(values, [what](std::uint32_t value) { return value == what; });
    };
    if (all(kNothing)) {
        return failed(name, "all registers read as ffffffff: nothing answers at this address");
    }
    if (all(0)) {
        return failed(name,
                      "all registers read as 0: the port's clock is off, or it is no NETA port");
    }
    const std::uint32_t high = registers.read(neta::kMacHigh);
    const std::uint32_t low = registers.read(neta::kMacLow);
    return passed(
        name, fmt::format("version {:02x}, MAC address {:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
                          values[0] & 0xffU, high >> 24U, (high >> 16U) & 0xffU,
                          (high >> 8U) & 0xffU, high & 0xffU, (low >> 8U) & 0xffU, low & 0xffU));
}

Step test_link(const vfio::Registers& registers) {
    const std::uint32_t status = registers.read(neta::kGmacStatus);
    if ((status & neta::kGmacStatusLinkUp) == 0) {
        return passed("link", "down, as the port was found");
    }
    const char* const speed = (status & neta::kGmacStatus1000) != 0  ? "1000"
                              : (status & neta::kGmacStatus100) != 0 ? "100"
                                                                     : "10";
    return passed("link",
                  fmt::format("up, {} Mb/s, {} duplex, as the port was found", speed,
                              (status & neta::kGmacStatusFullDuplex) != 0 ? "full" : "half"));
}

Step test_registers(const vfio::Registers& registers) {
    for (const Keeper& keeper : kKeepers) {
        const std::uint32_t before = registers.read(keeper.offset);
        for (const std::uint32_t pattern : {0x55555555U, 0xaaaaaaaaU, 0xffffffffU, 0U}) {
            registers.write(keeper.offset, pattern & keeper.mask);
            const std::uint32_t now = registers.read(keeper.offset) & keeper.mask;
            if (now != (pattern & keeper.mask)) {
                registers.write(keeper.offset, before);
                return failed("registers",
                              fmt::format("{} at {:04x}: {:08x} was written, {:08x} is read",
                                          keeper.name, keeper.offset, pattern & keeper.mask, now));
            }
        }
        registers.write(keeper.offset, before);
    }
    return passed("registers", fmt::format("{} registers keep what is written", kKeepers.size()));
}

Step test_phys(const vfio::Registers& registers) {
    std::string found;
    for (unsigned phy = 0; phy < kPhys; ++phy) {
        const auto id1 = neta::smi_read(registers, phy, kPhyId1);
        const auto id2 = neta::smi_read(registers, phy, kPhyId2);
        if (!id1 || !id2) {
            return skipped("phys", "SMI does not answer; it belongs to the first port of a group");
        }
        if (*id1 != 0xffff && *id1 != 0) {
            found += fmt::format("{}{}: {:04x}:{:04x}", found.empty() ? "" : ", ", phy, *id1, *id2);
        }
    }
    return passed("phys", found.empty() ? "none at the 32 addresses of SMI" : found);
}

/// Frames of all lengths and random bytes; deterministic.
class Frames {
  public:
    [[nodiscard]] std::span<const std::uint8_t> next() {
        const unsigned bytes =
            std::uniform_int_distribution(neta::kMinFrame, NetaLoopback::kFrameMax)(random_);
        bytes_.resize(bytes);
        std::ranges::generate(bytes_, [this] { return static_cast<std::uint8_t>(random_()); });
        bytes_[0] = 0x02;  // one station
        bytes_[12] = 0x88;
        bytes_[13] = 0xb5;  // for experiments
        return bytes_;
    }

  private:
    std::mt19937 random_{1};
    std::vector<std::uint8_t> bytes_;
};

/// Empty, or what is wrong with `frame`.
std::string difference(const NetaLoopback::Frame& frame, std::span<const std::uint8_t> wanted) {
    if ((frame.status & neta::kRxError) != 0) {
        return fmt::format("came back with status {:08x}", frame.status);
    }
    if (frame.bytes != wanted.size()) {
        return fmt::format("of {} bytes came back with {}", wanted.size(), frame.bytes);
    }
    const auto [at, unused] = std::ranges::mismatch(wanted, std::span(frame.data, frame.bytes));
    return at == wanted.end() ? std::string()
                              : fmt::format("of {} bytes came back changed at byte {}",
                                            wanted.size(), at - wanted.begin());
}

Step test_loopback(NetaLoopback& loopback, unsigned frames) {
    const char* const name = "loopback";
    constexpr unsigned kBatch = NetaLoopback::kSlots / 2;
    Frames source;
    Frames expected;
    std::uint64_t bytes = 0;
    for (unsigned done = 0; done < frames; done += kBatch) {
        for (unsigned i = 0; i < kBatch; ++i) {
            const auto frame = source.next();
            std::ranges::copy(frame, loopback.next_tx());
            loopback.queue(static_cast<std::uint32_t>(frame.size()));
        }
        loopback.send();
        const auto received = loopback.receive(kBatch);
        if (!received) {
            return failed(name, received.error().message);
        }
        for (unsigned i = 0; i < kBatch; ++i) {
            const auto wanted = expected.next();
            bytes += wanted.size();
            if (const std::string wrong = difference((*received)[i], wanted); !wrong.empty()) {
                return failed(name, fmt::format("frame {} {}", done + i, wrong));
            }
        }
        loopback.give_back();
    }
    return passed(
        name, fmt::format("{} frames, {} bytes, came back as they were sent, memory in {} pages",
                          frames, bytes, loopback.huge_memory() ? "huge" : "small"));
}

/// Answers of the rounds about a cache.
struct Answers {
    unsigned coherent = 0;
    unsigned stale = 0;
};

Step judge(const char* name, const char* side, const Result<Answers>& answers) {
    if (!answers) {
        return failed(name, answers.error().message);
    }
    if (answers->stale == 0) {
        return passed(name, fmt::format("coherent: {} of {} times {} without maintenance",
                                        answers->coherent, answers->coherent, side));
    }
    return passed(
        name,
        fmt::format("NOT coherent: {} of {} times the bytes were old; caches must be maintained",
                    answers->stale, answers->stale + answers->coherent));
}

constexpr std::uint32_t kAskBytes = neta::kMinFrame * 4;
constexpr std::size_t kAskFrom = 64;  // behind the first line, which has the addresses
constexpr std::size_t kAskTo = kAskBytes - 64;

void fill(std::uint8_t* at, std::uint8_t value) {
    std::memset(at, value, kAskBytes);
    at[0] = 0x02;
}

/// Are all bytes that the question is about those of fill(value)?
bool is_filled(const NetaLoopback::Frame& frame, std::uint8_t value) {
    return std::all_of(frame.data + kAskFrom, frame.data + kAskTo,
                       [value](std::uint8_t byte) { return byte == value; });
}

/// Two frames whose buffers were cleaned, then written again and not cleaned: what is sent?
Result<Answers> ask_transmit(NetaLoopback& loopback, unsigned rounds) {
    Answers answers;
    for (unsigned round = 0; round < rounds; ++round) {
        const auto before = static_cast<std::uint8_t>(2 * round);
        for (unsigned i = 0; i < 2; ++i) {
            fill(loopback.next_tx(), before);
            vfio::sync_for_device(loopback.next_tx(), kAskBytes, false);
            vfio::publish_barrier(false);
            fill(loopback.next_tx(), static_cast<std::uint8_t>(before + 1));
            loopback.queue(kAskBytes, false);
        }
        loopback.send();
        const auto received = loopback.receive(2);
        if (!received) {
            return forward_error(received);
        }
        for (const NetaLoopback::Frame& frame : *received) {
            const bool fresh = is_filled(frame, static_cast<std::uint8_t>(before + 1));
            ++(fresh ? answers.coherent : answers.stale);
        }
        loopback.give_back();
    }
    return answers;
}

/// Brings all lines into the cache: volatile, for a compiler would read no more than is used.
std::array<std::uint8_t, kAskBytes> read_all(const volatile std::uint8_t* at) {
    std::array<std::uint8_t, kAskBytes> bytes{};
    std::copy_n(at, kAskBytes, bytes.begin());
    return bytes;
}

/// Two frames arrive in buffers that the cache holds: what is read without dropping its lines?
Result<Answers> ask_receive(NetaLoopback& loopback, unsigned rounds) {
    Answers answers;
    for (unsigned round = 0; round < rounds; ++round) {
        const auto now = static_cast<std::uint8_t>(round + 1);
        // Bytes that happen to be the new ones already would answer nothing.
        const bool differs = read_all(loopback.next_rx())[kAskFrom] != now;
        for (unsigned i = 0; i < 2; ++i) {
            fill(loopback.next_tx(), now);
            loopback.queue(kAskBytes);
        }
        loopback.send();
        const auto received = loopback.receive(2, false);
        if (!received) {
            return forward_error(received);
        }
        if (differs) {
            ++(is_filled(received->front(), now) ? answers.coherent : answers.stale);
        }
        loopback.give_back();
    }
    return answers;
}

/// Waits for an event and takes it.
bool event(int fd) {
    pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
    std::uint64_t count = 0;
    return ::poll(&waiting, 1, kInterruptMs) == 1 &&
           ::read(fd, &count, sizeof(count)) == static_cast<ssize_t>(sizeof(count));
}

Step test_interrupt(vfio::Device& device, NetaLoopback& loopback) {
    const char* const name = "interrupt";
    const auto fd = device.enable_interrupt();
    if (!fd) {
        return skipped(name, fd.error().message);
    }
    const vfio::Registers& registers = device.registers();
    registers.write(neta::kIntrNewMask, neta::kIntrRxq.of(1));
    Step step = passed(name, "came for each of 8 bursts, and not without one");
    for (unsigned round = 0; round < 8 && step.how == Step::How::passed; ++round) {
        for (unsigned i = 0; i < 2; ++i) {
            fill(loopback.next_tx(), 0x5a);
            loopback.queue(kAskBytes);
        }
        loopback.send();
        if (!event(*fd)) {
            step = failed(
                name, fmt::format("burst {} raised none within {} ms; cause {:08x}, mask {:08x}",
                                  round, kInterruptMs, registers.read(neta::kIntrNewCause),
                                  registers.read(neta::kIntrNewMask)));
            break;
        }
        if (auto received = loopback.receive(2); !received) {
            step = failed(name, received.error().message);
            break;
        }
        loopback.give_back();
        device.rearm_interrupt();
    }
    // A line that an emulator drives stays high until the next look at the device: once is
    // forgiven.
    for (unsigned extra = 0; step.how == Step::How::passed && event(*fd); ++extra) {
        if (neta::kIntrRxq.get(registers.read(neta::kIntrNewCause)) != 0 || extra != 0) {
            step = failed(name, "came without a cause");
        }
        device.rearm_interrupt();
    }
    registers.write(neta::kIntrNewMask, 0);
    device.disable_interrupt();
    return step;
}

/// What needs frames. The port's queues are off when it returns.
void test_memory(vfio::Device& device,
                 const SelfTest& options,
                 const std::function<bool(Step)>& add) {
    const auto loopback = NetaLoopback::start(device, options.windows);
    if (!loopback) {
        add(failed("memory", loopback.error().message));
        return;
    }
    if (!add(test_loopback(**loopback, options.frames))) {
        return;
    }
    add(judge("transmit cache", "the device read what the CPU had written",
              ask_transmit(**loopback, options.rounds)));
    add(judge("receive cache", "the CPU read what the device had written",
              ask_receive(**loopback, options.rounds)));
    add(test_interrupt(device, **loopback));
}

}  // namespace

std::vector<Step> run_self_test(vfio::Device& device,
                                const SelfTest& options,
                                const std::function<void(const Step&)>& told) {
    std::vector<Step> steps;
    const auto add = [&](Step step) {
        told(step);
        steps.push_back(std::move(step));
        return steps.back().how != Step::How::failed;
    };
    const vfio::Registers& registers = device.registers();
    if (!add(test_identity(registers))) {
        return steps;  // nothing below means anything
    }
    add(test_link(registers));
    add(test_phys(registers));
    test_memory(device, options, add);
    // The port is taken over and its queues are off.
    add(test_registers(registers));
    return steps;
}

}  // namespace crema::command
