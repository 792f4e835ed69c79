// SPDX-License-Identifier: BSD-3-Clause
//
// A frame's way through the driver on the NIC model: receive and drop (drop.bpf.o), receive and
// send back (ssh_mirror.bpf.o), in TSC cycles per packet of the polling core. Twins: the same
// driver without a program (the application frees or sends the mbufs) and net_null, which has no
// device at all. The numbers are of a model: the "NIC" is a thread on the other core, or, with
// `inline`, code that runs inside the driver's register accesses.
//
//   busy_cycles   of polls that moved frames, per frame: what driver, program and pool cost
//   wall_cycles   all polling, per frame: also says how fast the model is
//   inline        the same with the model on the polling core: inline busy - threaded busy is about
//                 the model's share
#include <array>
#include <atomic>
#include <benchmark/benchmark.h>
#include <cstdio>
#include <string>

#include <rte_bus_vdev.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "benchmarks/common/machine.h"
#include "lib/ebpf/loader/object.h"
#include "lib/xdp/attach.h"

namespace {

constexpr std::uint16_t kBurst = 32;
constexpr std::uint32_t kPollsPerRound = 4096;
constexpr std::uint64_t kFirstFrameSeconds = 10;  // a model thread may have to get its core first
constexpr std::uint64_t kInterruptedPollHz =
    20'000;  // a poll of 50 us was interrupted: not counted

enum class Act : std::uint8_t { drop, send_back };

struct Setup {
    const char* name;
    const char* device;   // of the ethdev, without its number
    std::string devargs;  // "" for net_null
    const char* program;  // "" none: the application acts
    Act act;
};

/// One port with one queue pair, started; gone with the object.
class Port {
  public:
    explicit Port(const Setup& setup) : name_(std::string(setup.device) + "0") {
        if (rte_vdev_init(name_.c_str(), setup.devargs.c_str()) != 0) {
            return;
        }
        is_plugged_ = true;
        static rte_mempool* const mbufs = rte_pktmbuf_pool_create(
            "bench_mbufs", 8191, 250, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
        rte_eth_conf conf = {};
        is_started_ = mbufs != nullptr && rte_eth_dev_get_port_by_name(name_.c_str(), &id_) == 0 &&
                      rte_eth_dev_configure(id_, 1, 1, &conf) == 0 &&
                      rte_eth_rx_queue_setup(id_, 0, 512, SOCKET_ID_ANY, nullptr, mbufs) == 0 &&
                      rte_eth_tx_queue_setup(id_, 0, 512, SOCKET_ID_ANY, nullptr) == 0 &&
                      rte_eth_dev_start(id_) == 0;
        if (is_started_ && *setup.program != '\0') {
            is_started_ = attach(setup.program);
        }
    }

    ~Port() {
        if (is_started_) {
            (void)rte_eth_dev_stop(id_);
        }
        if (is_plugged_) {
            (void)rte_vdev_uninit(name_.c_str());
        }
    }

    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    [[nodiscard]] bool is_started() const { return is_started_; }

    [[nodiscard]] std::uint16_t id() const { return id_; }

  private:
    [[nodiscard]] bool attach(const std::string& program) const {
        const auto object =
            crema::ebpf::loader::Object::load(CREMA_BPF_DIR "/" + program + ".bpf.o");
        const auto status = object ? crema::xdp::attach(id_, *object->program(program))
                                   : crema::Status(crema::forward_error(object));
        if (!status) {
            (void)std::fprintf(stderr, "bench: %s\n", status.error().message.c_str());
        }
        return status.has_value();
    }

    std::string name_;
    std::uint16_t id_ = RTE_MAX_ETHPORTS;
    bool is_plugged_ = false;
    bool is_started_ = false;
};

/// One poll of an application: frames that a program left over are freed or sent back.
std::uint32_t poll(std::uint16_t port, Act act) {
    std::array<rte_mbuf*, kBurst> mbufs;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    const std::uint16_t n = rte_eth_rx_burst(port, 0, mbufs.data(), kBurst);
    if (n == 0) {
        return 0;
    }
    const std::uint16_t sent =
        act == Act::send_back ? rte_eth_tx_burst(port, 0, mbufs.data(), n) : std::uint16_t{0};
    if (sent < n) {
        rte_pktmbuf_free_bulk(&mbufs.at(sent), n - sent);
    }
    return n;
}

/// Frames that a program brought to their end on the port.
std::uint64_t decided(std::uint16_t port) {
    const crema::xdp::VerdictCounters sum = crema::xdp::verdicts(port);
    return sum.drop + sum.tx + sum.tx_errors;
}

void run(benchmark::State& state, const Setup& setup) {
    const Port port(setup);
    if (!port.is_started()) {
        state.SkipWithError("the port does not start; its message is above");
        return;
    }
    const bool has_program = *setup.program != '\0';
    const std::uint64_t patience_ends = rte_rdtsc() + kFirstFrameSeconds * rte_get_tsc_hz();
    while (poll(port.id(), setup.act) == 0 && decided(port.id()) == 0) {
        if (rte_rdtsc() > patience_ends) {
            state.SkipWithError("no frame arrives");
            return;
        }
    }
    const std::uint64_t interrupted_cycles = rte_get_tsc_hz() / kInterruptedPollHz;
    std::uint64_t wall_cycles = 0;
    std::uint64_t wall_frames = 0;
    std::uint64_t busy_cycles = 0;
    std::uint64_t busy_frames = 0;
    for (auto _ : state) {
        // Plain polling.
        const std::uint64_t before = decided(port.id());
        const std::uint64_t start = rte_rdtsc();
        for (std::uint32_t i = 0; i < kPollsPerRound; ++i) {
            wall_frames += poll(port.id(), setup.act);
        }
        wall_cycles += rte_rdtsc() - start;
        std::uint64_t after = decided(port.id());
        wall_frames += after - before;
        // Poll by poll; asking for the counters is outside the time. A model thread that does not
        // get its core delivers nothing for a while.
        const std::uint64_t busy_frames_before = busy_frames;
        const std::uint64_t round_ends = rte_rdtsc() + kFirstFrameSeconds * rte_get_tsc_hz();
        for (std::uint32_t i = 0;
             i < kPollsPerRound || (busy_frames == busy_frames_before && rte_rdtsc() < round_ends);
             ++i) {
            const std::uint64_t poll_start = rte_rdtsc();
            std::uint64_t frames = poll(port.id(), setup.act);
            const std::uint64_t poll_cycles = rte_rdtsc() - poll_start;
            if (has_program) {
                const std::uint64_t now = decided(port.id());
                frames += now - after;
                after = now;
            }
            if (frames != 0 && poll_cycles < interrupted_cycles) {
                busy_cycles += poll_cycles;
                busy_frames += frames;
            }
        }
    }
    if (busy_frames == 0) {
        state.SkipWithError("frames stopped arriving");
        return;
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(wall_frames + busy_frames));
    if (wall_frames != 0) {
        state.counters["wall_cycles"] =
            static_cast<double>(wall_cycles) / static_cast<double>(wall_frames);
    }
    state.counters["busy_cycles"] =
        static_cast<double>(busy_cycles) / static_cast<double>(busy_frames);
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::uint32_t> cpus = crema::bench::allowed_cpus();
    // The twin without a device is a plug-in of DPDK; EAL finds it by name.
    crema::bench::start_eal({cpus.front()}, {"-d", "librte_net_null.so"});
    const std::string wire = "device=model,wire=gen:proto=tcp:dport=22";
    std::vector<Setup> setups;
    const auto add = [&](const std::string& engine, const std::string& devargs) {
        static std::vector<std::string> names;
        names.reserve(16);  // names are pointed at
        const auto name = [&](const char* what) {
            return names.emplace_back(std::string("BM_Path/") + what + "/" + engine).c_str();
        };
        setups.push_back({name("drop"), "net_neta", devargs, "drop", Act::drop});
        setups.push_back({name("drop_no_program"), "net_neta", devargs, "", Act::drop});
        setups.push_back({name("tx"), "net_neta", devargs, "ssh_mirror", Act::send_back});
        setups.push_back({name("tx_no_program"), "net_neta", devargs, "", Act::send_back});
    };
    if (cpus.size() > 1) {
        add("model_thread", wire + ",engine=thread:" + std::to_string(cpus[1]));
    }
    add("model_inline", wire + ",engine=inline");
    setups.push_back({"BM_Path/drop/net_null", "net_null", "size=60", "", Act::drop});
    setups.push_back({"BM_Path/tx/net_null", "net_null", "size=60", "", Act::send_back});
    for (const Setup& setup : setups) {
        benchmark::RegisterBenchmark(setup.name, run, setup);
    }
    return crema::bench::run_benchmarks(
        argc, argv,
        "receive loop on the NETA device MODEL (software on " +
            std::string(cpus.size() > 1 ? "the other core" : "the same core") +
            "), 64-byte TCP frames, bursts of 32; no statement about a board");
}
