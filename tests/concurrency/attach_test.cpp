// SPDX-License-Identifier: BSD-3-Clause
//
// Attach, replace, detach, again and again while frames pass as fast as they are taken: no frame is
// lost, and none is run by a program that was gone when it came. Each program writes its number
// into the frame and sends it back; without a program the host does, so every frame returns. The
// number of the last change that was done when a frame was sent says which programs may have run
// it.
//
// Beside it the kernel with native XDP on veth, in the same manner: what it loses is printed, and
// not judged. 200 rounds of three changes; CREMA_TEST_ROUNDS=50 makes it 10,000.
#include "lib/xdp/attach.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <rte_bus_vdev.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "tests/support/asm.h"
#include "tests/support/eal.h"
#include "tests/support/kernel_bpf.h"
#include "tests/support/rounds.h"
#include "tests/support/tiny_program.h"
#include "tests/support/veth.h"

namespace crema::test {
namespace {

using Clock = std::chrono::steady_clock;

[[maybe_unused]] const auto* const eal = with_eal({"-m", "128", "-l", "0"});

constexpr std::uint32_t kNumberAt = 14;
constexpr std::uint32_t kMarkAt = 18;
constexpr std::uint32_t kNoMark = 0xffffffff;
constexpr std::uint16_t kFrameBytes = 64;
constexpr auto kIdle = std::chrono::microseconds(20);

/// Which change was begun, which is done; the third of each three is a detach.
struct Changes {
    std::atomic<std::uint32_t> begun{0};
    std::atomic<std::uint32_t> done{0};

    static bool is_detach(std::uint32_t change) { return change % 3 == 0; }
};

/// The far end: sends numbered frames, no more than `window` on their way, and judges what returns.
class FarEnd {
  public:
    using Frame = std::array<std::uint8_t, kFrameBytes>;

    FarEnd(const Changes& changes, std::uint32_t window) : changes_(changes), window_(window) {}

    [[nodiscard]] bool may_send() const { return sent() - returned_ - lost_ < window_; }

    Frame next() {
        Frame frame{};
        std::memset(frame.data(), 0xff, 6);
        frame[6] = 2;
        frame[12] = 0x88;
        frame[13] = 0xb5;
        const auto number = static_cast<std::uint32_t>(floors_.size());
        std::memcpy(&frame[kNumberAt], &number, sizeof number);
        std::memcpy(&frame[kMarkAt], &kNoMark, sizeof kNoMark);
        floors_.push_back(changes_.done.load());
        is_back_.push_back(false);
        return frame;
    }

    void unsend() {
        floors_.pop_back();
        is_back_.pop_back();
    }

    void take(const std::uint8_t* frame) {
        std::uint32_t number = 0;
        std::uint32_t mark = 0;
        std::memcpy(&number, frame + kNumberAt, sizeof number);
        std::memcpy(&mark, frame + kMarkAt, sizeof mark);
        if (number >= sent() || is_back_[number]) {
            ++strange_;
            return;
        }
        is_back_[number] = true;
        ++returned_;
        const std::uint32_t floor = floors_[number];
        if (mark == kNoMark) {
            ++unmarked_;
            // One of the changes from `floor` on must have taken the program away.
            const std::uint32_t last = changes_.begun.load();
            wrong_ += floor == 0 || last / 3 * 3 >= floor ? 0 : 1;
        } else {
            // By a program that was there when it was sent, or came later.
            wrong_ += mark >= floor && mark <= changes_.begun.load() ? 0 : 1;
        }
    }

    /// All that has not come back will not.
    void give_up() { lost_ = sent() - returned_; }

    [[nodiscard]] std::uint64_t sent() const { return floors_.size(); }

    [[nodiscard]] std::uint64_t returned() const { return returned_; }

    [[nodiscard]] std::uint64_t unmarked() const { return unmarked_; }

    [[nodiscard]] std::uint64_t missing() const { return sent() - returned_; }

    /// Run by a program that was gone, or by none though one was there.
    [[nodiscard]] std::uint64_t wrong() const { return wrong_; }

    [[nodiscard]] std::uint64_t strange() const { return strange_; }

  private:
    const Changes& changes_;
    std::uint64_t window_;
    std::vector<std::uint32_t>
        floors_;  // by number: the last change that was done when it was sent
    std::vector<bool> is_back_;
    std::uint64_t returned_ = 0;
    std::uint64_t unmarked_ = 0;
    std::uint64_t lost_ = 0;
    std::uint64_t wrong_ = 0;
    std::uint64_t strange_ = 0;
};

/// A pair of ports of net_neta with their wire.
class Ports {
  public:
    Ports() {
        mbufs_ = rte_pktmbuf_pool_create("attach", 2047, 64, 0, RTE_MBUF_DEFAULT_BUF_SIZE, -1);
        for (std::uint16_t id = 0; id < 2; ++id) {
            EXPECT_EQ(rte_vdev_init(name(id).c_str(), "device=model,wire=pair:attach,pool=1024"),
                      0);
        }
        for (std::uint16_t id = 0; id < 2; ++id) {
            const rte_eth_conf conf{};
            EXPECT_EQ(rte_eth_dev_configure(id, 1, 1, &conf), 0);
            EXPECT_EQ(rte_eth_rx_queue_setup(id, 0, 512, 0, nullptr, mbufs_), 0);
            EXPECT_EQ(rte_eth_tx_queue_setup(id, 0, 512, 0, nullptr), 0);
            EXPECT_EQ(rte_eth_dev_start(id), 0);
            EXPECT_EQ(rte_eth_promiscuous_enable(id), 0);
        }
    }

    ~Ports() {
        for (std::uint16_t id = 0; id < 2; ++id) {
            EXPECT_EQ(rte_eth_dev_stop(id), 0);
        }
        for (std::uint16_t id = 0; id < 2; ++id) {
            EXPECT_EQ(rte_vdev_uninit(name(id).c_str()), 0);
        }
        EXPECT_EQ(rte_mempool_in_use_count(mbufs_), 0U);
        rte_mempool_free(mbufs_);
    }

    Ports(const Ports&) = delete;
    Ports& operator=(const Ports&) = delete;

    [[nodiscard]] rte_mempool* mbufs() const { return mbufs_; }

  private:
    static std::string name(std::uint16_t id) { return "net_neta_attach" + std::to_string(id); }

    rte_mempool* mbufs_ = nullptr;
};

constexpr std::uint16_t kBurst = 32;

/// Sends back what is passed.
void poll_near(const std::atomic<bool>& stop) {
    (void)rte_thread_register();
    std::array<rte_mbuf*, kBurst> mbufs{};
    while (!stop.load()) {
        const std::uint16_t n = rte_eth_rx_burst(0, 0, mbufs.data(), kBurst);
        std::uint16_t sent = 0;
        while (sent < n) {
            sent = static_cast<std::uint16_t>(
                sent +
                rte_eth_tx_burst(0, 0, &mbufs.at(sent), static_cast<std::uint16_t>(n - sent)));
        }
        if (n == 0) {
            std::this_thread::sleep_for(kIdle);
        }
    }
    rte_thread_unregister();
}

std::uint16_t receive_far(FarEnd& far) {
    std::array<rte_mbuf*, kBurst> mbufs{};
    const std::uint16_t n = rte_eth_rx_burst(1, 0, mbufs.data(), kBurst);
    for (std::uint16_t i = 0; i < n; ++i) {
        far.take(rte_pktmbuf_mtod(mbufs.at(i), const std::uint8_t*));
    }
    rte_pktmbuf_free_bulk(mbufs.data(), n);
    return n;
}

void drive_far(FarEnd& far, rte_mempool* pool, const std::atomic<bool>& stop) {
    (void)rte_thread_register();
    while (!stop.load()) {
        std::uint32_t moved = receive_far(far);
        std::array<rte_mbuf*, kBurst> mbufs{};
        std::uint16_t n = 0;
        for (; n < kBurst && far.may_send(); ++n) {
            mbufs.at(n) = rte_pktmbuf_alloc(pool);
            if (mbufs.at(n) == nullptr) {
                break;
            }
            const FarEnd::Frame frame = far.next();
            std::memcpy(rte_pktmbuf_append(mbufs.at(n), kFrameBytes), frame.data(), kFrameBytes);
        }
        for (std::uint16_t sent = 0; sent < n;) {
            sent = static_cast<std::uint16_t>(
                sent +
                rte_eth_tx_burst(1, 0, &mbufs.at(sent), static_cast<std::uint16_t>(n - sent)));
        }
        if (moved + n == 0) {
            std::this_thread::sleep_for(kIdle);
        }
    }
    const auto deadline = Clock::now() + std::chrono::seconds(10);
    while (far.missing() != 0 && Clock::now() < deadline) {
        if (receive_far(far) == 0) {
            std::this_thread::sleep_for(kIdle);
        }
    }
    rte_thread_unregister();
}

/// Frame byte kMarkAt..: `mark`; XDP_TX. In the dialect that is compiled.
std::shared_ptr<const ebpf::LoadedProgram> marking(std::uint32_t mark) {
    return tiny_program({.insns = {load(op::kDw, 2, 1, 0),
                                   store_k(op::kW, 2, kMarkAt, static_cast<std::int32_t>(mark)),
                                   mov_k(0, 3), exit_insn()},
                         .natives = {},
                         .stack_bytes = 0});
}

void tell(const char* who, std::uint32_t rounds, const FarEnd& far) {
    std::printf(
        "%s: %u rounds of attach, replace, detach: %llu frames sent, %llu returned, of these "
        "%llu without a program; %llu lost, %llu run by a program that was gone, or by none\n",
        who, rounds, static_cast<unsigned long long>(far.sent()),
        static_cast<unsigned long long>(far.returned()),
        static_cast<unsigned long long>(far.unmarked()),
        static_cast<unsigned long long>(far.missing()),
        static_cast<unsigned long long>(far.wrong()));
    (void)std::fflush(stdout);
}

TEST(AttachUnderLoad, NoFrameIsLostOrRunByAProgramThatIsGone) {
    const auto rounds = static_cast<std::uint32_t>(scaled_rounds(200));
    Changes changes;
    FarEnd far(changes, 256);
    {
        const Ports ports;
        std::atomic<bool> near_stop{false};
        std::atomic<bool> far_stop{false};
        std::thread near([&] { poll_near(near_stop); });
        std::thread peer([&] { drive_far(far, ports.mbufs(), far_stop); });
        std::weak_ptr<const ebpf::LoadedProgram> old;
        for (std::uint32_t change = 1; change <= 3 * rounds; ++change) {
            changes.begun.store(change);
            if (Changes::is_detach(change)) {
                ASSERT_TRUE(xdp::detach(0));
            } else {
                const Status done = xdp::attach(0, marking(change));
                ASSERT_TRUE(done) << done.error().message;
            }
            changes.done.store(change);
            EXPECT_TRUE(old.expired()) << "its code is unmapped by now";
            old = xdp::attached(0);
            // Some traffic between the changes, and mostly not.
            if (change % 16 == 0) {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
        }
        far_stop.store(true);
        peer.join();
        near_stop.store(true);
        near.join();
    }
    tell("Crema on NETA", rounds, far);
    EXPECT_EQ(far.missing(), 0U);
    EXPECT_EQ(far.wrong(), 0U);
    EXPECT_EQ(far.strange(), 0U);
    EXPECT_GT(far.sent(), 10U * rounds);
    EXPECT_GT(far.unmarked(), 0U);
    EXPECT_LT(far.unmarked(), far.returned());
}

int load_into_kernel(std::vector<Insn> insns) {
    std::string log;
    ebpf::Program program;
    program.name = "attach_test";
    program.insns = std::move(insns);
    const int fd = kernel::load_xdp(program, {}, &log);
    EXPECT_GE(fd, 0) << log;
    return fd;
}

int load_marking_into_kernel(std::uint32_t mark) {
    return load_into_kernel({load(op::kW, 2, 1, 0), load(op::kW, 3, 1, 4), mov(4, 2),
                             add_k(4, kFrameBytes), jump(op::kJgt, 4, 3, 3),
                             store_k(op::kW, 2, kMarkAt, static_cast<std::int32_t>(mark)),
                             mov_k(0, 3), exit_insn(), mov_k(0, 2), exit_insn()});
}

int attach_in_kernel(std::uint32_t ifindex, int program) {
    return bpf_xdp_attach(static_cast<int>(ifindex), program, XDP_FLAGS_DRV_MODE, nullptr);
}

/// Frames of which nothing was heard for this long are lost.
constexpr auto kLostAfter = std::chrono::milliseconds(50);

std::vector<std::uint8_t> bytes_of(const FarEnd::Frame& frame) {
    return {frame.begin(), frame.end()};
}

void drive_far_veth(FarEnd& far, const PacketSocket& socket, const std::atomic<bool>& stop) {
    auto heard = Clock::now();
    while (!stop.load() || (far.missing() != 0 && Clock::now() - heard < 4 * kLostAfter)) {
        bool idle = true;
        while (const auto frame = socket.receive()) {
            if (frame->size() >= kFrameBytes) {
                far.take(frame->data());
            }
            heard = Clock::now();
            idle = false;
        }
        for (std::uint32_t i = 0; i < kBurst && !stop.load() && far.may_send(); ++i) {
            if (!socket.send(bytes_of(far.next()))) {
                far.unsend();
                break;
            }
            idle = false;
        }
        if (Clock::now() - heard > kLostAfter) {
            far.give_up();
        }
        if (idle) {
            std::this_thread::sleep_for(kIdle);
        }
    }
}

TEST(AttachUnderLoad, TheKernelOnVethBesideIt) {
    if (!kernel::available()) {
        GTEST_SKIP() << "bpf(2) is not permitted here: no kernel beside it";
    }
    // Each change waits for the kernel's readers, tens of milliseconds: fewer rounds.
    const auto rounds = static_cast<std::uint32_t>(scaled_rounds(20));
    Changes changes;
    FarEnd far(changes, 128);
    std::string trouble;
    // The namespace goes with the thread.
    std::thread alone([&] {
        const auto veths = Veths::make(200, 1);
        if (!veths) {
            trouble = veths.error().message;
            return;
        }
        const std::uint32_t near = (*veths)->near_ifindex(0);
        const auto at_far = PacketSocket::open((*veths)->far_ifindex(0));
        const auto at_near = PacketSocket::open(near);
        // A far end takes frames of XDP_TX only with a program of its own.
        const UniqueFd pass(load_into_kernel({mov_k(0, 2), exit_insn()}));
        if (!at_far || !at_near || attach_in_kernel((*veths)->far_ifindex(0), pass.get()) != 0) {
            trouble = "no native XDP on veth here";
            return;
        }
        std::atomic<bool> near_stop{false};
        std::atomic<bool> far_stop{false};
        std::thread echo([&] {
            while (!near_stop.load()) {
                const auto frame = at_near->receive();
                if (!frame || !at_near->send(*frame)) {
                    std::this_thread::sleep_for(kIdle);
                }
            }
        });
        std::thread peer([&] { drive_far_veth(far, *at_far, far_stop); });
        int failures = 0;
        for (std::uint32_t change = 1; change <= 3 * rounds; ++change) {
            const int program = Changes::is_detach(change) ? -1 : load_marking_into_kernel(change);
            changes.begun.store(change);
            failures += attach_in_kernel(near, program) == 0 ? 0 : 1;
            changes.done.store(change);
            if (program >= 0) {
                close(program);
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        far_stop.store(true);
        peer.join();
        near_stop.store(true);
        echo.join();
        EXPECT_EQ(failures, 0);
    });
    alone.join();
    if (!trouble.empty()) {
        GTEST_SKIP() << trouble;
    }
    tell("Linux on veth", rounds, far);
    EXPECT_GT(far.returned(), 0U);
    EXPECT_EQ(far.strange(), 0U);
}

}  // namespace
}  // namespace crema::test
