// SPDX-License-Identifier: BSD-3-Clause
//
// What a frame costs that is dropped, sent back, or redirected to a port with and without a second
// program: test runs with live frames of the same object and the same packet, in the running kernel
// and here, in turns. In the kernel frames leave by veth, and a program at its far end drops them;
// here by net_neta on the device model, whose engine runs inside of the driver's register accesses
// and so is in the time, and by a port without a device, which takes frames and recycles them.
//
//   steering_bench [--smoke] [--rounds N] [--json FILE]
//
// Measured is the time that the one thread was on a core, in user space and in the kernel, because
// other processes share the machine: nanoseconds per frame, best and median of the rounds, and the
// kernel's to ours round by round. No NIC receives anything: the receive side is port_bench's.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <rte_bus_vdev.h>
#include <rte_ethdev.h>

#include "benchmarks/common/machine.h"
#include "lib/ebpf/loader/object.h"
#include "lib/page_pool/page_pool.h"
#include "lib/xdp/live_frames.h"
#include "lib/xdp/test_run.h"
#include "tests/support/veth.h"

namespace {

using crema::Result;
using crema::Status;
using crema::ebpf::loader::Object;

constexpr std::array kCases = {"drop", "tx", "to_port", "to_port_with_program"};
constexpr std::uint32_t kBatch = 64;
constexpr std::uint32_t kVethFirst = 300;
constexpr std::uint32_t kFrames = 200'000;  // a turn
constexpr std::uint32_t kNetaPort = 0;
constexpr std::uint16_t kBarePort = 8;

std::vector<std::uint8_t> packet() {
    std::vector<std::uint8_t> bytes(60, 0x5a);
    std::fill_n(bytes.begin(), 6, std::uint8_t{0xff});
    bytes[12] = 0x88;
    bytes[13] = 0xb5;
    return bytes;
}

/// A side gives the time of one turn, or says why it cannot.
struct Engine {
    std::string name;
    std::function<Result<double>(const char* program, std::uint32_t frames)> run;
    std::string failure{};
};

// The kernel.

struct KernelSide {
    std::unique_ptr<bpf_object, decltype(&bpf_object__close)> object{nullptr, bpf_object__close};
    std::unique_ptr<crema::test::Veths> veths;

    [[nodiscard]] int program(const char* name) const {
        return bpf_program__fd(bpf_object__find_program_by_name(object.get(), name));
    }

    [[nodiscard]] Status open() {
        object.reset(bpf_object__open(CREMA_STEERING_OBJECT));
        if (object == nullptr || bpf_object__load(object.get()) != 0) {
            return crema::fail(errno, "bpf(2) does not take the object: {}", std::strerror(errno));
        }
        auto made = crema::test::Veths::make(kVethFirst, 2);
        if (!made) {
            return crema::forward_error(made);
        }
        veths = std::move(*made);
        for (std::uint32_t pair = 0; pair < 2; ++pair) {
            if (bpf_xdp_attach(static_cast<int>(veths->far_ifindex(pair)), program("far_end"),
                               XDP_FLAGS_DRV_MODE, nullptr) != 0) {
                return crema::fail(EOPNOTSUPP, "no native XDP on veth");
            }
        }
        const int ports = bpf_object__find_map_fd_by_name(object.get(), "ports");
        for (std::uint32_t key = 0; key < 2; ++key) {
            bpf_devmap_val value{};
            value.ifindex = veths->near_ifindex(1);
            value.bpf_prog.fd = key == 1 ? program("in_slot") : 0;
            if (bpf_map_update_elem(ports, &key, &value, 0) != 0) {
                return crema::fail(errno, "the devmap's entry is refused");
            }
        }
        return {};
    }

    [[nodiscard]] Result<double> run(const char* name, std::uint32_t frames) const {
        std::vector<std::uint8_t> bytes = packet();
        xdp_md context{};
        context.data_end = static_cast<std::uint32_t>(bytes.size());
        context.ingress_ifindex = veths->near_ifindex(0);
        LIBBPF_OPTS(bpf_test_run_opts, options);
        options.data_in = bytes.data();
        options.data_size_in = context.data_end;
        options.ctx_in = &context;
        options.ctx_size_in = sizeof context;
        options.repeat = static_cast<int>(frames);
        options.batch_size = kBatch;
        options.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
        const std::uint64_t start = crema::bench::cpu_time_ns();
        if (const int error = bpf_prog_test_run_opts(program(name), &options); error != 0) {
            return crema::fail(-error, "live frames: {}", std::strerror(-error));
        }
        return static_cast<double>(crema::bench::cpu_time_ns() - start) / frames;
    }
};

// Here.

constexpr crema::xdp::PortOps kBareOps = {
    .mode = "native",
    .xmit =
        [](void*, std::uint32_t, const crema::xdp::Frame* frames, std::uint32_t n) {
            std::array<rte_mbuf*, crema::xdp::kBurstMax> pages;
            for (std::uint32_t i = 0; i < n; ++i) {
                pages[i] = frames[i].page;
            }
            crema::page_pool::recycle_mixed(pages.data(), n);
            return n;
        },
    .attach_check = [](void*, bool) { return Status(); },
    .frame_bytes_max = [](void*) { return 1518U; },
    .is_up = [](void*) { return true; },
};

struct CremaSide {
    std::unique_ptr<Object> object;
    std::uint32_t ifindex;

    [[nodiscard]] Status open() {
        auto loaded = Object::load(CREMA_STEERING_OBJECT);
        if (!loaded) {
            return crema::forward_error(loaded);
        }
        object = std::make_unique<Object>(std::move(*loaded));
        const auto slot = crema::ebpf::syscall::ProgramFd::open(*object->program("in_slot"));
        if (!slot) {
            return crema::forward_error(slot);
        }
        for (std::uint32_t key = 0; key < 2; ++key) {
            const std::array<std::uint32_t, 2> value = {
                ifindex, key == 1 ? static_cast<std::uint32_t>(slot->get()) : 0};
            if (const int rc = (*object->map("ports"))->update(&key, value.data(), 0); rc != 0) {
                return crema::fail(-rc, "the devmap's entry is refused");
            }
        }
        return {};
    }

    [[nodiscard]] Result<double> run(const char* name, std::uint32_t frames) const {
        const std::vector<std::uint8_t> bytes = packet();
        crema::xdp::TestRunContext context{};
        context.data_end = static_cast<std::uint32_t>(bytes.size());
        context.ingress_ifindex = ifindex;
        const auto program = object->program(name);
        const std::uint64_t start = crema::bench::cpu_time_ns();
        const auto ran = crema::xdp::run_live_frames(**program, bytes, context, frames, kBatch);
        if (!ran) {
            return crema::forward_error(ran);
        }
        const double spent = static_cast<double>(crema::bench::cpu_time_ns() - start) / frames;
        if (ran->verdicts.redirect_errors + ran->verdicts.aborted != 0) {
            return crema::fail(EIO, "{} frames were refused",
                               ran->verdicts.redirect_errors + ran->verdicts.aborted);
        }
        return spent;
    }
};

Status plug_neta() {
    if (rte_vdev_init("net_neta0", "device=model,wire=null,pool=1024") != 0) {
        return crema::fail(EIO, "no port of net_neta");
    }
    rte_mempool* const mbufs =
        rte_pktmbuf_pool_create("bench", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, -1);
    const rte_eth_conf conf{};
    if (rte_eth_dev_configure(kNetaPort, 1, 1, &conf) != 0 ||
        rte_eth_rx_queue_setup(kNetaPort, 0, 256, 0, nullptr, mbufs) != 0 ||
        rte_eth_tx_queue_setup(kNetaPort, 0, 256, 0, nullptr) != 0 ||
        rte_eth_dev_start(kNetaPort) != 0) {
        return crema::fail(EIO, "the port of net_neta does not start");
    }
    return {};
}

double quantile(std::vector<double> values, double q) {
    std::sort(values.begin(), values.end());
    return values.empty()
               ? 0
               : values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

using Times = std::array<std::vector<double>, kCases.size()>;

void report(const std::vector<Engine>& engines, const std::vector<Times>& times) {
    std::printf("%-22s %-28s %8s %8s   %s\n", "CPU ns per frame", "by", "best", "median",
                "kernel / this: median (10-90%)");
    for (std::size_t c = 0; c < kCases.size(); ++c) {
        for (std::size_t e = 0; e < engines.size(); ++e) {
            const std::vector<double>& own = times[e][c];
            if (own.empty()) {
                std::printf("%-22s %-28s not measured: %s\n", kCases.at(c), engines[e].name.c_str(),
                            engines[e].failure.c_str());
                continue;
            }
            std::vector<double> ratios;
            for (std::size_t r = 0; r < std::min(own.size(), times[0][c].size()); ++r) {
                ratios.push_back(times[0][c][r] / own[r]);
            }
            std::printf("%-22s %-28s %8.1f %8.1f   %.2f (%.2f..%.2f)\n", kCases.at(c),
                        engines[e].name.c_str(), quantile(own, 0), quantile(own, 0.5),
                        quantile(ratios, 0.5), quantile(ratios, 0.1), quantile(ratios, 0.9));
        }
    }
}

[[nodiscard]] bool write_json(const std::string& path,
                              const std::vector<Engine>& engines,
                              const std::vector<Times>& times) {
    nlohmann::json all = nlohmann::json::array();
    for (std::size_t e = 0; e < engines.size(); ++e) {
        for (std::size_t c = 0; c < kCases.size(); ++c) {
            all.push_back({{"by", engines[e].name},
                           {"case", kCases.at(c)},
                           {"cpu_ns_per_frame", times[e][c]}});
        }
    }
    std::ofstream file(path);
    file << all.dump(1);
    return file.good();
}

int usage() {
    (void)std::fprintf(stderr, "usage: steering_bench [--smoke] [--rounds N] [--json FILE]\n");
    return 2;
}

int run(int rounds, std::uint32_t frames, const std::string& json) {
    KernelSide kernel;
    CremaSide neta{.object = nullptr, .ifindex = crema::xdp::ifindex_of(kNetaPort)};
    CremaSide bare{.object = nullptr, .ifindex = crema::xdp::ifindex_of(kBarePort)};
    std::vector<Engine> engines;
    const auto add = [&engines](const char* name, auto& side, const Status& opened) {
        engines.push_back(
            {name, [&side](const char* program, std::uint32_t n) { return side.run(program, n); },
             opened ? std::string() : opened.error().message});
    };
    add("kernel, veth", kernel, kernel.open());
    const Status plugged = plug_neta();
    add("Crema, net_neta on its model", neta, plugged ? neta.open() : plugged);
    const auto hooks = crema::xdp::register_port(kBarePort, kBareOps, nullptr);
    add("Crema, port without device", bare,
        hooks ? bare.open() : Status(crema::forward_error(hooks)));
    std::vector<Times> times(engines.size());
    for (int round = 0; round < rounds; ++round) {
        for (std::size_t c = 0; c < kCases.size(); ++c) {
            for (std::size_t e = 0; e < engines.size(); ++e) {
                if (!engines[e].failure.empty()) {
                    continue;
                }
                const auto time = engines[e].run(kCases.at(c), frames);
                if (time) {
                    times[e][c].push_back(*time);
                } else {
                    engines[e].failure = time.error().message;
                }
            }
        }
    }
    report(engines, times);
    return json.empty() || write_json(json, engines, times) ? 0 : 1;
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): memory that runs out ends the program
int main(int argc, char** argv) {
    int rounds = 15;
    std::uint32_t frames = kFrames;
    std::string json;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--smoke") {
            rounds = 1;
            frames = 2000;
        } else if (word == "--rounds" && i + 1 < argc) {
            rounds = static_cast<int>(std::strtol(argv[++i], nullptr, 10));
        } else if (word == "--json" && i + 1 < argc) {
            json = argv[++i];
        } else {
            return usage();
        }
    }
    if (rounds < 1) {
        return usage();
    }
    crema::bench::start_eal({crema::bench::allowed_cpus().front()});
    return run(rounds, frames, json);
}
