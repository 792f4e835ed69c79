// SPDX-License-Identifier: BSD-3-Clause
//
// Ports of DPDK and what stands at their other end: for net_neta the device model, which has a
// thread of its own; for the others a port of DPDK's that lcore 1 drives (sends bursts of 32 and
// frees what arrives). Each subject is plugged for its turn and gone afterwards, so nothing of it
// runs in another's time.
#include <array>
#include <atomic>
#include <cstring>
#include <string>
#include <unistd.h>
#include <utility>

#include <rte_bus_vdev.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "benchmarks/ports/bare_device.h"
#include "benchmarks/ports/subject.h"

namespace crema::bench {
namespace {

constexpr std::uint16_t kRing = 1024;
constexpr std::uint16_t kFrameBytes = 60;
constexpr std::uint32_t kFirstFrameSeconds = 5;

rte_mempool* frame_pool() {
    static rte_mempool* const pool = rte_pktmbuf_pool_create(
        "bench_frames", 4095, 250, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    return pool;
}

/// To be sent: one segment, its Ethernet header written.
bool make_frames(rte_mbuf** mbufs, std::uint32_t n) {
    if (rte_pktmbuf_alloc_bulk(frame_pool(), mbufs, n) != 0) {
        return false;
    }
    for (std::uint32_t i = 0; i < n; ++i) {
        mbufs[i]->data_len = kFrameBytes;
        mbufs[i]->pkt_len = kFrameBytes;
        auto* ethernet = rte_pktmbuf_mtod(mbufs[i], rte_ether_hdr*);
        std::memset(ethernet, 0x02, sizeof(*ethernet));
    }
    return true;
}

class Port {
  public:
    Port() = default;
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    ~Port() { unplug(); }

    Status plug(const std::string& name, const std::string& arguments) {
        name_ = name;
        if (rte_vdev_init(name.c_str(), arguments.c_str()) != 0) {
            return fail(ENODEV, "{} is not there: {}", name, arguments);
        }
        is_plugged_ = true;
        return {};
    }

    Status start() {
        rte_eth_conf conf{};
        if (rte_eth_dev_get_port_by_name(name_.c_str(), &id) != 0 ||
            rte_eth_dev_configure(id, 1, 1, &conf) != 0 ||
            rte_eth_rx_queue_setup(id, 0, kRing, SOCKET_ID_ANY, nullptr, frame_pool()) != 0 ||
            rte_eth_tx_queue_setup(id, 0, kRing, SOCKET_ID_ANY, nullptr) != 0 ||
            rte_eth_dev_start(id) != 0) {
            return fail(EIO, "{} does not start", name_);
        }
        is_started_ = true;
        return {};
    }

    void unplug() {
        if (std::exchange(is_started_, false)) {
            (void)rte_eth_dev_stop(id);
        }
        if (std::exchange(is_plugged_, false)) {
            (void)rte_vdev_uninit(name_.c_str());
        }
    }

    std::uint16_t id = RTE_MAX_ETHPORTS;

  private:
    std::string name_;
    bool is_plugged_ = false;
    bool is_started_ = false;
};

class EthFace {
  public:
    explicit EthFace(std::uint16_t port) : port_(port) {}

    std::uint32_t receive(std::uint32_t burst) {
        return rte_eth_rx_burst(port_, 0, mbufs_.data(), static_cast<std::uint16_t>(burst));
    }

    void release(std::uint32_t n) { drop(0, n); }

    bool prepare(std::uint32_t burst) { return make_frames(mbufs_.data(), burst); }

    std::uint32_t send(std::uint32_t n) {
        return rte_eth_tx_burst(port_, 0, mbufs_.data(), static_cast<std::uint16_t>(n));
    }

    // One by one, as applications do.
    void drop(std::uint32_t from, std::uint32_t n) {
        for (std::uint32_t i = from; i < n; ++i) {
            rte_pktmbuf_free(mbufs_[i]);
        }
    }

    void swap(std::uint32_t n) {
        for (std::uint32_t i = 0; i < n; ++i) {
            auto* ethernet = rte_pktmbuf_mtod(mbufs_[i], rte_ether_hdr*);
            std::swap(ethernet->src_addr, ethernet->dst_addr);
        }
    }

  private:
    std::uint16_t port_;
    std::array<rte_mbuf*, kBurstMax> mbufs_;  // NOLINT(*-member-init): [0, n) of a call is set
};

/// On the device that is there at least; its other end is on lcore 1, too.
class BareNeta : public Subject {
  public:
    Status up() override {
        // Only for this port: the others are on the device model.
        const vfio::ModelFactory model = vfio::register_model("neta", BareDevice::make);
        Status plugged = own_.plug("net_neta0", "device=model");
        vfio::register_model("neta", model);
        if (!plugged) {
            return plugged;
        }
        if (Status started = own_.start(); !started) {
            return started;
        }
        stop_.store(false);
        if (rte_eal_remote_launch(
                [](void* self) {
                    BareDevice::last->serve(static_cast<BareNeta*>(self)->stop_);
                    return 0;
                },
                this, 1) != 0) {
            return fail(EBUSY, "the other core is busy");
        }
        is_running_ = true;
        return {};
    }

    void down() override {
        stop_.store(true);
        if (std::exchange(is_running_, false)) {
            rte_eal_wait_lcore(1);
        }
        own_.unplug();
    }

    Cost run(Work work, std::uint32_t burst, std::uint64_t cycles) override {
        EthFace face(own_.id);
        return poll_for(face, work, burst, cycles);
    }

  private:
    Port own_;
    std::atomic<bool> stop_{false};
    bool is_running_ = false;
};

/// What lcore 1 does at the other end.
struct Peer {
    std::uint16_t port = RTE_MAX_ETHPORTS;
    std::atomic<bool> stop{false};
};

int peer_main(void* pointer) {
    constexpr std::uint16_t kBurst = 32;
    Peer& peer = *static_cast<Peer*>(pointer);
    std::array<rte_mbuf*, kBurst> out;  // NOLINT(*-member-init): [next, end) is set
    std::array<rte_mbuf*, kBurst> in;   // NOLINT(*-member-init)
    std::uint16_t next = 0;
    std::uint16_t end = 0;
    while (!peer.stop.load(std::memory_order_relaxed)) {
        if (next == end) {
            next = 0;
            end = make_frames(out.data(), kBurst) ? kBurst : std::uint16_t{0};
        }
        next = static_cast<std::uint16_t>(
            next +
            rte_eth_tx_burst(peer.port, 0, &out[next], static_cast<std::uint16_t>(end - next)));
        const std::uint16_t n = rte_eth_rx_burst(peer.port, 0, in.data(), kBurst);
        rte_pktmbuf_free_bulk(in.data(), n);
    }
    rte_pktmbuf_free_bulk(&out[next], static_cast<unsigned>(end - next));
    return 0;
}

class EthdevSubject : public Subject {
  public:
    /// other_*: empty where the device brings its other end along.
    struct Parts {
        std::string name;
        std::string arguments;
        std::string other_name{};
        std::string other_arguments{};
        std::string socket{};  // a file that both name
    };

    explicit EthdevSubject(Parts parts) : parts_(std::move(parts)) {}

    Status up() override {
        if (!parts_.other_name.empty()) {
            if (Status plugged = other_.plug(parts_.other_name, parts_.other_arguments); !plugged) {
                return plugged;
            }
            // The server's socket is there before the client looks for it.
            if (Status started = other_.start(); !started) {
                return started;
            }
        }
        if (Status plugged = own_.plug(parts_.name, parts_.arguments); !plugged) {
            return plugged;
        }
        if (Status started = own_.start(); !started) {
            return started;
        }
        if (!parts_.other_name.empty()) {
            peer_.port = other_.id;
            peer_.stop.store(false);
            if (rte_eal_remote_launch(peer_main, &peer_, 1) != 0) {
                return fail(EBUSY, "the other core is busy");
            }
            is_peer_running_ = true;
        }
        return wait_for_frames();
    }

    void down() override {
        peer_.stop.store(true);
        if (std::exchange(is_peer_running_, false)) {
            rte_eal_wait_lcore(1);
        }
        own_.unplug();
        other_.unplug();
        if (!parts_.socket.empty()) {
            (void)::unlink(parts_.socket.c_str());
        }
    }

    Cost run(Work work, std::uint32_t burst, std::uint64_t cycles) override {
        EthFace face(own_.id);
        return poll_for(face, work, burst, cycles);
    }

  private:
    /// A thread of the other end may have to get its core first, and connections take their time.
    [[nodiscard]] Status wait_for_frames() const {
        EthFace face(own_.id);
        const std::uint64_t begin = rte_rdtsc();
        for (std::uint32_t seen = 0; seen < 10'000;) {
            const std::uint32_t n = face.receive(32);
            face.release(n);
            seen += n;
            if (rte_rdtsc() - begin > kFirstFrameSeconds * rte_get_tsc_hz()) {
                return fail(ETIMEDOUT, "{}: no frames arrive", parts_.name);
            }
        }
        return {};
    }

    Parts parts_;
    Port other_;
    Port own_;
    Peer peer_;
    bool is_peer_running_ = false;
};

std::string socket_path(const char* what) {
    return "/tmp/crema_bench_" + std::to_string(getpid()) + "_" + what;
}

}  // namespace

std::unique_ptr<Subject> make_bare_neta() {
    return std::make_unique<BareNeta>();
}

std::unique_ptr<Subject> make_neta(unsigned other_cpu) {
    return std::make_unique<EthdevSubject>(EthdevSubject::Parts{
        .name = "net_neta0",
        .arguments = "device=model,wire=gen,engine=thread:" + std::to_string(other_cpu)});
}

std::unique_ptr<Subject> make_virtio_user() {
    const std::string socket = socket_path("vhost");
    return std::make_unique<EthdevSubject>(
        EthdevSubject::Parts{.name = "net_virtio_user0",
                             .arguments = "path=" + socket +
                                          ",mac=02:00:00:00:00:01,queues=1,queue_size=1024,packed_"
                                          "vq=1,mrg_rxbuf=0,in_order=1,vectorized=1",
                             .other_name = "net_vhost0",
                             .other_arguments = "iface=" + socket + ",queues=1",
                             .socket = socket});
}

std::unique_ptr<Subject> make_memif() {
    const std::string socket = socket_path("memif");
    const std::string both = "id=0,rsize=10,socket-abstract=no,socket=" + socket;
    return std::make_unique<EthdevSubject>(
        EthdevSubject::Parts{.name = "net_memif1",
                             .arguments = "role=client," + both,
                             .other_name = "net_memif0",
                             .other_arguments = "role=server," + both,
                             .socket = socket});
}

}  // namespace crema::bench
