// SPDX-License-Identifier: BSD-3-Clause
//
// Crema: ports of net_neta on the device model, each joined to its far end by a wire in this
// process. One thread plays the host behind all of them and the workers of both CPUs.
#include <array>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <optional>
#include <set>

#include <rte_bus_vdev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "lib/ebpf/loader/object.h"
#include "lib/redirect/counters.h"
#include "lib/redirect/cpu_poller.h"
#include "lib/xdp/attach.h"
#include "tests/conformance/redirect/side.h"

namespace crema::test::redirect {
namespace {

using ebpf::loader::Object;

constexpr std::uint16_t kMtu = 1500;
constexpr std::uint16_t kLargeMtu = 2800;
constexpr std::uint16_t kRing = 256;
constexpr std::uint16_t kBurst = 32;

struct DeviceValue {
    std::uint32_t ifindex;
    std::int32_t program;
};

struct CpuValue {
    std::uint32_t frames;
    std::int32_t program;
};

Bytes bytes_of(const rte_mbuf* mbuf) {
    const auto* const data = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
    return {data, data + mbuf->data_len};
}

class CremaSide final : public Side {
  public:
    explicit CremaSide(Object object) : object_(std::move(object)) {}

    ~CremaSide() override {
        for (auto& poller : pollers_) {
            poller.reset();
        }
        (void)xdp::detach(0);
        for (std::uint32_t port = 0; port < kPorts; ++port) {
            unplug(port);
        }
        rte_mempool_free(mbufs_);
    }

    CremaSide(const CremaSide&) = delete;
    CremaSide& operator=(const CremaSide&) = delete;
    CremaSide(CremaSide&&) = delete;
    CremaSide& operator=(CremaSide&&) = delete;

    [[nodiscard]] Status start() {
        mbufs_ = rte_pktmbuf_pool_create("far_ends", 2047, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE + 2048,
                                         SOCKET_ID_ANY);
        if (mbufs_ == nullptr) {
            return fail(ENOMEM, "no memory for the far ends' frames");
        }
        // Ids follow the order in which ports come.
        for (std::uint32_t port = 0; port < kPorts; ++port) {
            plug_end("near", port);
        }
        for (std::uint32_t port = 0; port < kPorts; ++port) {
            plug_end("far", port);
            start_port(port);
        }
        for (std::uint32_t cpu = 0; cpu < kCpus; ++cpu) {
            auto poller = crema::redirect::CpuPoller::create(cpu);
            if (!poller) {
                return forward_error(poller);
            }
            pollers_.at(cpu) = std::move(*poller);
        }
        const auto main = object_.program("on_port");
        if (!main) {
            return forward_error(main);
        }
        seen_ = all_counts();
        return xdp::attach(0, *main);
    }

    [[nodiscard]] std::uint32_t first_ifindex() const override { return xdp::first_ifindex(); }

    int set_device(Maps map,
                   std::uint32_t key,
                   std::uint32_t ifindex,
                   const std::string& program) override {
        const auto fd = open(program);
        const DeviceValue value = {ifindex, fd ? fd->get() : 0};
        return map_of(map).update(&key, &value, ebpf::maps::kAny);
    }

    int erase_device(Maps map, std::uint32_t key) override { return map_of(map).erase(&key); }

    [[nodiscard]] bool has_device(Maps map, std::uint32_t key) override {
        DeviceValue value{};
        return map_of(map).lookup(&key, &value) == 0;
    }

    int set_cpu(std::uint32_t cpu, std::uint32_t frames, const std::string& program) override {
        const auto fd = open(program);
        const CpuValue value = {frames, fd ? fd->get() : 0};
        return (*object_.map("cpus"))->update(&cpu, &value, ebpf::maps::kAny);
    }

    int erase_cpu(std::uint32_t cpu) override { return (*object_.map("cpus"))->erase(&cpu); }

    void set_up(std::uint32_t port, bool up) override {
        EXPECT_EQ(up ? rte_eth_dev_start(near(port)) : rte_eth_dev_stop(near(port)), 0);
    }

    void set_mtu(std::uint32_t port, std::uint32_t mtu) override {
        EXPECT_EQ(rte_eth_dev_set_mtu(near(port), static_cast<std::uint16_t>(mtu)), 0);
    }

    void unplug(std::uint32_t port) override {
        EXPECT_EQ(rte_vdev_uninit(fmt::format("net_neta_near{}", port).c_str()), 0);
        EXPECT_EQ(rte_vdev_uninit(fmt::format("net_neta_far{}", port).c_str()), 0);
    }

    void plug(std::uint32_t port) override {
        plug_end("near", port);
        plug_end("far", port);
        start_port(port);
    }

    void send(const std::vector<Bytes>& frames) override {
        for (const Bytes& frame : frames) {
            rte_mbuf* mbuf = rte_pktmbuf_alloc(mbufs_);
            ASSERT_NE(mbuf, nullptr);
            std::memcpy(rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(frame.size())),
                        frame.data(), frame.size());
            ASSERT_EQ(rte_eth_tx_burst(far(0), 0, &mbuf, 1), 1);
            if (++unpolled_ == kBurst) {
                poll_ports();
            }
        }
        poll_ports();
    }

    [[nodiscard]] Sight look() override {
        for (std::uint32_t idle = 0; idle < 3;) {
            idle = poll_ports() + poll_cpus() == 0 ? idle + 1 : 0;
        }
        Sight sight = std::move(sight_);
        sight_ = {};
        const Counts now = all_counts();
        for (const auto& [name, value] : now) {
            if (value != seen_[name]) {
                sight.counts[name] = value - seen_[name];
            }
        }
        seen_ = now;
        return sight;
    }

  private:
    static std::uint16_t near(std::uint32_t port) { return static_cast<std::uint16_t>(port); }

    static std::uint16_t far(std::uint32_t port) {
        return static_cast<std::uint16_t>(kPorts + port);
    }

    static void plug_end(const char* end, std::uint32_t port) {
        const std::string name = fmt::format("net_neta_{}{}", end, port);
        const std::string args = fmt::format("device=model,wire=pair:redirect{},pool=512", port);
        ASSERT_EQ(rte_vdev_init(name.c_str(), args.c_str()), 0);
        std::uint16_t id = 0;
        ASSERT_EQ(rte_eth_dev_get_port_by_name(name.c_str(), &id), 0);
        ASSERT_EQ(id, *end == 'n' ? near(port) : far(port)) << "ifindexes follow ids";
    }

    void start_port(std::uint32_t port) {
        for (const std::uint16_t id : {near(port), far(port)}) {
            const rte_eth_conf conf{};
            ASSERT_EQ(rte_eth_dev_configure(id, 1, 1, &conf), 0);
            ASSERT_EQ(rte_eth_rx_queue_setup(id, 0, kRing, 0, nullptr, mbufs_), 0);
            ASSERT_EQ(rte_eth_tx_queue_setup(id, 0, kRing, 0, nullptr), 0);
            const bool is_small = id == near(port) && port != 0;
            ASSERT_EQ(rte_eth_dev_set_mtu(id, is_small ? kMtu : kLargeMtu), 0);
            ASSERT_EQ(rte_eth_dev_start(id), 0);
            ASSERT_EQ(rte_eth_promiscuous_enable(id), 0);
        }
    }

    [[nodiscard]] ebpf::maps::Map& map_of(Maps kind) const {
        return **object_.map(kind == Maps::devices ? "devices" : "hashed_devices");
    }

    [[nodiscard]] std::optional<ebpf::syscall::ProgramFd> open(const std::string& program) const {
        if (program.empty()) {
            return std::nullopt;
        }
        auto fd = ebpf::syscall::ProgramFd::open(*object_.program(program));
        EXPECT_TRUE(fd) << fd.error().message;
        return std::move(*fd);
    }

    /// Frees what it receives. Returns how many frames came.
    static std::uint32_t take(std::uint16_t id, std::vector<Bytes>& frames) {
        std::array<rte_mbuf*, kBurst> mbufs{};
        const std::uint16_t n = rte_eth_rx_burst(id, 0, mbufs.data(), kBurst);
        for (std::uint16_t i = 0; i < n; ++i) {
            frames.push_back(bytes_of(mbufs.at(i)));
        }
        rte_pktmbuf_free_bulk(mbufs.data(), n);
        return n;
    }

    std::uint32_t poll_ports() {
        unpolled_ = 0;
        std::uint32_t seen = 0;
        for (std::uint32_t port = 0; port < kPorts; ++port) {
            if (rte_eth_dev_is_valid_port(near(port)) == 0) {
                continue;
            }
            // Port 0 twice: a burst that a program takes in whole looks like none.
            seen += take(near(port), sight_.passed[port]);
            seen += take(near(port), sight_.passed[port]);
            seen += take(far(port), sight_.arrived[port]);
        }
        return seen;
    }

    std::uint32_t poll_cpus() {
        std::uint32_t seen = 0;
        std::array<rte_mbuf*, xdp::kBurstMax> mbufs{};
        for (auto& poller : pollers_) {
            const std::uint32_t n = poller->poll(mbufs.data(), kBurst);
            for (std::uint32_t i = 0; i < n; ++i) {
                sight_.passed.at(mbufs.at(i)->port).push_back(bytes_of(mbufs.at(i)));
            }
            rte_pktmbuf_free_bulk(mbufs.data(), n);
            seen += n;
        }
        return seen;
    }

    /// Since the process began.
    [[nodiscard]] Counts all_counts() const {
        using namespace crema::redirect;
        Counts counts;
        const xdp::VerdictCounters verdicts = xdp::verdicts(0);
        counts["dropped, ABORTED too"] = verdicts.drop + verdicts.aborted;
        counts["tx"] = verdicts.tx;
        counts["tx errors"] = verdicts.tx_errors;
        counts["exceptions"] = verdicts.aborted;
        counts["redirected"] = verdicts.redirect;
        for (std::uint16_t port = 0; port < kPorts; ++port) {
            const DeviceCounters device = device_counters(port);
            counts["exceptions"] += device.program_aborted;
            counts["dropped on the way to a port"] += device.program_drop + device.program_aborted;
        }
        for (std::uint32_t cpu = 0; cpu < kCpus; ++cpu) {
            const CpumapCounters there = cpumap_counters(cpu);
            counts["redirected"] += there.redirect;
            counts["cpumap: no room"] += there.enqueue_drops;
            counts["cpumap: received"] += there.received;
            counts["cpumap: dropped there"] += there.drop + there.aborted + there.redirect_errors;
            counts["cpumap: redirected there"] += there.redirect;
        }
        add_errors(counts);
        for (std::uint32_t i = 0; i < 3; ++i) {
            std::uint64_t value = 0;
            EXPECT_EQ((*object_.map("runs"))->lookup(&i, &value), 0);
            counts[fmt::format("runs of program {}", i)] = value;
        }
        return counts;
    }

    static void add_errors(Counts& counts) {
        using namespace crema::redirect;
        constexpr std::array<std::pair<Via, const char*>, kVias> kNames = {
            {{Via::nothing, "ifindex"},
             {Via::ifindex, "ifindex"},
             {Via::devmap, "devices"},
             {Via::devmap_hash, "hashed_devices"},
             {Via::cpumap, "cpus"}}};
        for (const auto& each : kNames) {
            const Via via = each.first;
            const char* const name = each.second;
            const RedirectErrors errors = redirect_errors(via);
            const auto add = [&](const char* error, std::uint64_t n) {
                counts[fmt::format("refused {}: {}", name, error)] += n;
            };
            add("EBADRQC", errors.no_target);
            add("EINVAL", errors.no_port);
            add("ENETDOWN", errors.down);
            add("EMSGSIZE", errors.too_long);
            add("EOVERFLOW", errors.no_headroom);
            add("ENOMEM", errors.no_memory);
            // Taken first, refused later: the kernel has counted such a frame as redirected.
            counts["redirected"] += errors.later;
            if (via != Via::cpumap) {
                counts["dropped on the way to a port"] += errors.later;
            }
        }
    }

    Object object_;
    rte_mempool* mbufs_ = nullptr;
    std::array<std::unique_ptr<crema::redirect::CpuPoller>, kCpus> pollers_;
    Sight sight_;
    Counts seen_;
    std::uint32_t unpolled_ = 0;
};

}  // namespace

SideResult make_crema_side(const std::string& path) {
    auto object = Object::load(path);
    if (!object) {
        return forward_error(object);
    }
    auto side = std::make_unique<CremaSide>(std::move(*object));
    if (Status ready = side->start(); !ready) {
        return forward_error(ready);
    }
    return side;
}

}  // namespace crema::test::redirect
