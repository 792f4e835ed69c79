// SPDX-License-Identifier: BSD-3-Clause
//
// The running kernel: native XDP on veth pairs, frames through raw sockets at the far ends.
#include <array>
#include <cerrno>
#include <chrono>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <set>
#include <thread>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>

#include "tests/conformance/redirect/kernel_trace.h"
#include "tests/conformance/redirect/side.h"
#include "tests/support/veth.h"

namespace crema::test::redirect {
namespace {

constexpr const char* kMapNames[] = {"devices", "hashed_devices"};
constexpr auto kQuiet = std::chrono::milliseconds(20);

using KernelObject = std::unique_ptr<bpf_object, decltype(&bpf_object__close)>;

class KernelSide final : public Side {
  public:
    KernelSide(KernelObject object, std::unique_ptr<Veths> veths)
        : object_(std::move(object)), veths_(std::move(veths)) {}

    /// What is left to do once, and on each port that comes.
    [[nodiscard]] Status start() {
        for (std::uint32_t port = 0; port < kPorts; ++port) {
            if (Status ready = prepare(port); !ready) {
                return ready;
            }
        }
        if (const int error =
                bpf_xdp_attach(static_cast<int>(first_ifindex()), program("on_port"),
                               XDP_FLAGS_DRV_MODE | XDP_FLAGS_UPDATE_IF_NOEXIST, nullptr);
            error != 0) {
            return fail(-error, "no native XDP on veth: {}", std::strerror(-error));
        }
        Traced traced;
        traced.first_ifindex = first_ifindex();
        bpf_program* each = nullptr;
        bpf_object__for_each_program(each, object_.get()) {
            bpf_prog_info info{};
            std::uint32_t bytes = sizeof info;
            (void)bpf_obj_get_info_by_fd(bpf_program__fd(each), &info, &bytes);
            traced.programs.insert(info.id);
        }
        for (const char* name : {"devices", "hashed_devices", "cpus"}) {
            bpf_map_info info{};
            std::uint32_t bytes = sizeof info;
            (void)bpf_obj_get_info_by_fd(map(name), &info, &bytes);
            traced.maps[info.id] = name;
        }
        auto trace = KernelTrace::open(std::move(traced));
        if (!trace) {
            return forward_error(trace);
        }
        trace_ = std::move(*trace);
        return {};
    }

    [[nodiscard]] std::uint32_t first_ifindex() const override { return veths_->near_ifindex(0); }

    int set_device(Maps map_kind,
                   std::uint32_t key,
                   std::uint32_t ifindex,
                   const std::string& name) override {
        bpf_devmap_val value{};
        value.ifindex = ifindex;
        value.bpf_prog.fd = name.empty() ? 0 : program(name.c_str());
        return bpf_map_update_elem(map_of(map_kind), &key, &value, 0);
    }

    int erase_device(Maps map_kind, std::uint32_t key) override {
        return bpf_map_delete_elem(map_of(map_kind), &key);
    }

    [[nodiscard]] bool has_device(Maps map_kind, std::uint32_t key) override {
        bpf_devmap_val value{};
        return bpf_map_lookup_elem(map_of(map_kind), &key, &value) == 0;
    }

    int set_cpu(std::uint32_t cpu, std::uint32_t frames, const std::string& name) override {
        bpf_cpumap_val value{};
        value.qsize = frames;
        value.bpf_prog.fd = name.empty() ? 0 : program(name.c_str());
        return bpf_map_update_elem(map("cpus"), &cpu, &value, 0);
    }

    int erase_cpu(std::uint32_t cpu) override { return bpf_map_delete_elem(map("cpus"), &cpu); }

    void set_up(std::uint32_t port, bool up) override { EXPECT_TRUE(veths_->set_up(port, up)); }

    void set_mtu(std::uint32_t port, std::uint32_t mtu) override {
        EXPECT_TRUE(veths_->set_mtu(port, mtu));
    }

    void unplug(std::uint32_t port) override { EXPECT_TRUE(veths_->remove(port)); }

    void plug(std::uint32_t port) override {
        EXPECT_TRUE(veths_->add(port, kLargeMtu));
        EXPECT_TRUE(veths_->set_mtu(port, kMtu));
        EXPECT_TRUE(prepare(port));
    }

    void send(const std::vector<Bytes>& frames) override {
        // Ahead of cpumap's threads and of everything else that would like this CPU.
        const sched_param urgent{.sched_priority = 10};
        const sched_param usual{};
        EXPECT_EQ(sched_setscheduler(0, SCHED_FIFO, &urgent), 0);
        for (const Bytes& frame : frames) {
            const Status sent = far_[0]->send(frame);
            EXPECT_TRUE(sent) << sent.error().message;
        }
        EXPECT_EQ(sched_setscheduler(0, SCHED_OTHER, &usual), 0);
    }

    [[nodiscard]] Sight look() override {
        Sight sight;
        auto quiet_since = std::chrono::steady_clock::now();
        while (std::chrono::steady_clock::now() - quiet_since < kQuiet) {
            if (receive(sight)) {
                quiet_since = std::chrono::steady_clock::now();
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        trace_->take(sight.counts);
        take_ethtool(sight.counts);
        take_runs(sight.counts);
        std::erase_if(sight.counts, [](const auto& count) { return count.second == 0; });
        return sight;
    }

    static constexpr std::uint32_t kMtu = 1500;
    // Of the far ends, which so never are what refuses a frame.
    static constexpr std::uint32_t kLargeMtu = 2800;

  private:
    [[nodiscard]] int program(const char* name) const {
        return bpf_program__fd(bpf_object__find_program_by_name(object_.get(), name));
    }

    [[nodiscard]] int map(const char* name) const {
        return bpf_object__find_map_fd_by_name(object_.get(), name);
    }

    [[nodiscard]] int map_of(Maps kind) const {
        return map(kMapNames[static_cast<std::size_t>(kind)]);
    }

    [[nodiscard]] Status prepare(std::uint32_t port) {
        const std::uint32_t far = veths_->far_ifindex(port);
        if (const int error = bpf_xdp_attach(static_cast<int>(far), program("far_end"),
                                             XDP_FLAGS_DRV_MODE, nullptr);
            error != 0) {
            return fail(-error, "no native XDP on veth: {}", std::strerror(-error));
        }
        auto at_far = PacketSocket::open(far);
        auto at_near = PacketSocket::open(veths_->near_ifindex(port));
        if (!at_far || !at_near) {
            return forward_error(!at_far ? at_far : at_near);
        }
        far_[port] = std::make_unique<PacketSocket>(std::move(*at_far));
        near_[port] = std::make_unique<PacketSocket>(std::move(*at_near));
        return {};
    }

    /// True: something came.
    bool receive(Sight& sight) {
        bool any = false;
        for (std::uint32_t port = 0; port < kPorts; ++port) {
            while (auto frame = far_[port]->receive()) {
                sight.arrived[port].push_back(std::move(*frame));
                any = true;
            }
            while (auto frame = near_[port]->receive()) {
                sight.passed[port].push_back(std::move(*frame));
                any = true;
            }
        }
        return any;
    }

    void take_ethtool(Counts& counts) {
        Counts now;
        for (const auto& [name, value] : ethtool_counters("near0")) {
            if (name == "rx_queue_0_xdp_drops") {
                now["dropped, ABORTED too"] = value;
            } else if (name == "rx_queue_0_xdp_tx") {
                now["tx"] = value;
            } else if (name == "rx_queue_0_xdp_tx_errors") {
                now["tx errors"] = value;
            }
        }
        for (const auto& [name, value] : now) {
            counts[name] += value - ethtool_[name];
            ethtool_[name] = value;
        }
    }

    void take_runs(Counts& counts) {
        for (std::uint32_t i = 0; i < 3; ++i) {
            std::uint64_t value = 0;
            EXPECT_EQ(bpf_map_lookup_elem(map("runs"), &i, &value), 0);
            counts["runs of program " + std::to_string(i)] += value - runs_[i];
            runs_[i] = value;
        }
    }

    KernelObject object_;
    std::unique_ptr<Veths> veths_;
    std::unique_ptr<KernelTrace> trace_;
    std::array<std::unique_ptr<PacketSocket>, kPorts> far_;
    std::array<std::unique_ptr<PacketSocket>, kPorts> near_;
    Counts ethtool_;
    std::array<std::uint64_t, 3> runs_{};
};

}  // namespace

SideResult make_kernel_side(const std::string& path) {
    KernelObject object(bpf_object__open(path.c_str()), bpf_object__close);
    if (object == nullptr) {
        return fail(errno, "kernel: {} cannot be opened", path);
    }
    if (const int error = bpf_object__load(object.get()); error != 0) {
        return fail(-error, "bpf(2) refuses the object ({}): run as root", std::strerror(-error));
    }
    // What is sent arrives on the CPU of the sender, ahead of whatever else wants it.
    cpu_set_t first_cpu;
    CPU_ZERO(&first_cpu);
    CPU_SET(0, &first_cpu);
    if (sched_setaffinity(0, sizeof first_cpu, &first_cpu) != 0) {
        return fail(errno, "CPU 0 is not ours");
    }
    // Numbers that nobody else uses in tracepoints, which know nothing of namespaces.
    const std::uint32_t first = 10'000 + static_cast<std::uint32_t>(getpid()) * 8;
    auto veths = Veths::make(first, kPorts, KernelSide::kLargeMtu);
    if (!veths) {
        return forward_error(veths);
    }
    for (std::uint32_t port = 1; port < kPorts; ++port) {
        if (Status set = (*veths)->set_mtu(port, KernelSide::kMtu); !set) {
            return forward_error(set);
        }
    }
    auto side = std::make_unique<KernelSide>(std::move(object), std::move(*veths));
    if (Status ready = side->start(); !ready) {
        return forward_error(ready);
    }
    return side;
}

}  // namespace crema::test::redirect
