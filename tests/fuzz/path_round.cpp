// SPDX-License-Identifier: BSD-3-Clause
#include "tests/fuzz/path_round.h"

#include <array>
#include <chrono>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <rte_ethdev.h>
#include <rte_launch.h>

#include "lib/ebpf/loader/object.h"
#include "lib/redirect/counters.h"
#include "lib/redirect/cpu_poller.h"
#include "lib/xdp/attach.h"
#include "tests/fuzz/path_workers.h"
#include "tests/support/tiny_program.h"

namespace crema::test::fuzz {
namespace {

using ebpf::loader::Object;
using redirect::Via;

struct SlotValue {
    std::uint32_t target;  // ifindex, or frames
    std::int32_t program;
};

/// All counters of a round's end; those of the library count from the start of the process.
struct Books {
    std::array<xdp::VerdictCounters, kPathPorts> verdicts;
    redirect::CpumapCounters cpus;  // of both
    std::uint64_t slot_drops = 0;   // programs of devmaps: DROP and worse
    redirect::BroadcastCounters broadcasts;
    std::uint64_t errors = 0;  // of redirects, by whatever reason
    std::uint64_t later_to_cpus = 0;

    static Books now() {
        Books books;
        for (std::uint16_t port = 0; port < kPathPorts; ++port) {
            books.verdicts.at(port) = xdp::verdicts(port);
            const redirect::DeviceCounters device = redirect::device_counters(port);
            books.slot_drops += device.program_drop + device.program_aborted;
        }
        for (std::uint32_t cpu = 0; cpu < 2; ++cpu) {
            const redirect::CpumapCounters one = redirect::cpumap_counters(cpu);
            books.cpus.received += one.received;
            books.cpus.pass += one.pass;
            books.cpus.drop += one.drop;
            books.cpus.aborted += one.aborted;
            books.cpus.redirect += one.redirect;
            books.cpus.redirect_errors += one.redirect_errors;
            books.cpus.enqueue_drops += one.enqueue_drops;
        }
        books.broadcasts = redirect::broadcast_counters();
        for (const Via via :
             {Via::nothing, Via::ifindex, Via::devmap, Via::devmap_hash, Via::cpumap}) {
            const redirect::RedirectErrors one = redirect::redirect_errors(via);
            books.errors += one.no_target + one.no_port + one.down + one.too_long +
                            one.no_headroom + one.no_memory + one.later;
            books.later_to_cpus += via == Via::cpumap ? one.later : 0;
        }
        return books;
    }
};

class PathRound {
  public:
    PathRound(const std::string& path, std::uint64_t seed, std::uint64_t frames, PathTally& tally)
        : seed_(seed), frames_(frames), tally_(tally), path_(path), dice_(seed) {}

    [[nodiscard]] std::string run() {
        if (std::string wrong = prepare(); !wrong.empty()) {
            return wrong;
        }
        before_ = Books::now();
        std::atomic<bool> far_stop{false};
        FarRun far_run{far_.get(), &far_stop};
        (void)rte_eal_remote_launch(
            [](void* arg) {
                auto& run = *static_cast<FarRun*>(arg);
                run.ends->run(*run.stop);
                return 0;
            },
            &far_run, kFarLcore);
        while (!far_->all_sent() && trouble_.empty()) {
            change_something();
        }
        std::string wrong = settle();
        far_stop.store(true);
        (void)rte_eal_wait_lcore(kFarLcore);
        if (wrong.empty()) {
            wrong = audit();
        }
        if (std::string left = clear(); wrong.empty()) {
            wrong = left;
        }
        return wrong;
    }

  private:
    struct FarRun {
        FarEnds* ends;
        std::atomic<bool>* stop;
    };

    [[nodiscard]] std::string prepare() {
        const std::array<unsigned, 3> senders = {kEchoLcore, kWorkerLcores[0], kWorkerLcores[1]};
        auto wires = PathWires::plug(senders);
        if (!wires) {
            return wires.error().message;
        }
        wires_ = std::move(*wires);
        if (std::string wrong = load(); !wrong.empty()) {
            return wrong;
        }
        far_ = std::make_unique<FarEnds>(*wires_, seed_, frames_);
        auto workers = PathWorkers::start(*wires_);
        if (!workers) {
            return workers.error().message;
        }
        workers_ = std::move(*workers);
        return {};
    }

    /// Programs and maps anew; what is attached or in maps of the old object lives on there.
    [[nodiscard]] std::string load() {
        auto object = Object::load(path_);
        if (!object) {
            return object.error().message;
        }
        object_.emplace(std::move(*object));
        ++tally_.objects;
        return {};
    }

    [[nodiscard]] ebpf::maps::Map& map(const char* name) { return **object_->map(name); }

    [[nodiscard]] std::uint16_t any_port() {
        return static_cast<std::uint16_t>(dice_.below(kPathPorts));
    }

    void change_something() {
        const int what = dice_.below(100);
        if (what < 30) {
            change_attachment();
        } else if (what < 65) {
            change_devices();
        } else if (what < 90) {
            change_cpus();
        } else if (what < 96) {
            change_mtu();
        } else if (what < 99) {
            stop_a_port();
        } else {
            note(load());
        }
        if (dice_.one_in(4)) {
            std::this_thread::sleep_for(std::chrono::microseconds(dice_.below(2000)));
        }
    }

    void note(const std::string& wrong) {
        if (trouble_.empty()) {
            trouble_ = wrong;
        }
    }

    void note(const Status& done) {
        if (!done) {
            note(done.error().message);
        }
    }

    void change_attachment() {
        ++tally_.attachments;
        const std::uint16_t port = any_port();
        const int what = dice_.below(10);
        if (what == 0) {
            (void)xdp::detach(port);  // ENOENT: there was none
        } else if (what < 3) {
            // Code that nobody else keeps: it goes with the next change.
            constexpr std::uint32_t kVerdicts[] = {1, 2, 3, 4, 77};
            note(xdp::attach(port, returning(dice_.pick(kVerdicts))));
        } else {
            note(xdp::attach(port, *object_->program("on_port")));
        }
    }

    [[nodiscard]] std::optional<ebpf::syscall::ProgramFd> maybe_program(const char* name) {
        if (dice_.one_in(2)) {
            return std::nullopt;
        }
        auto fd = ebpf::syscall::ProgramFd::open(*object_->program(name));
        if (!fd) {
            note(fd.error().message);
            return std::nullopt;
        }
        return std::move(*fd);
    }

    void change_devices() {
        ++tally_.map_changes;
        ebpf::maps::Map& devices = map(dice_.one_in(2) ? "devices" : "hashed_devices");
        const auto key = static_cast<std::uint32_t>(dice_.below(4));
        if (dice_.one_in(4)) {
            (void)devices.erase(&key);  // ENOENT: it was empty
            return;
        }
        const auto program = maybe_program("in_slot");
        const SlotValue value = {xdp::ifindex_of(any_port()), program ? program->get() : 0};
        if (const int rc = devices.update(&key, &value, ebpf::maps::kAny); rc != 0) {
            note(fmt::format("a devmap's entry is refused: {}", rc));
        }
    }

    void change_cpus() {
        ++tally_.queue_changes;
        ebpf::maps::Map& cpus = map("cpus");
        const auto cpu = static_cast<std::uint32_t>(dice_.below(2));
        if (dice_.one_in(5)) {
            (void)cpus.erase(&cpu);
            return;
        }
        const auto program = maybe_program("on_cpu");
        constexpr std::uint32_t kSizes[] = {1, 8, 64, 192};
        const SlotValue value = {dice_.pick(kSizes), program ? program->get() : 0};
        if (const int rc = cpus.update(&cpu, &value, ebpf::maps::kAny); rc != 0) {
            note(fmt::format("a cpumap's entry is refused: {}", rc));
        }
    }

    void change_mtu() {
        ++tally_.mtu_changes;
        constexpr std::uint16_t kMtus[] = {1500, 1500, 600, 1000, 2000};
        const std::uint16_t port = any_port();
        note(far_->hold(port));
        // Who sends as an application has to know; programs of other ports are held off.
        if (port == 0) {
            workers_->pause(port);
        }
        note(wires_->port(port).set_mtu(dice_.pick(kMtus)));
        if (port == 0) {
            workers_->go_on(port);
        }
        far_->release(port);
    }

    // The link is down while a port's MTU changes, and while it is stopped: what comes by wire then
    // is lost, as with the chip, and nobody counts it. So what is on its way is taken before, and
    // nothing more is sent; frames that others redirect to the port keep coming.

    void stop_a_port() {
        ++tally_.port_stops;
        const std::uint16_t port = any_port();
        note(far_->hold(port));
        workers_->pause(port);
        wires_->port(port).stop();
        std::this_thread::sleep_for(std::chrono::microseconds(dice_.below(1000)));
        note(wires_->port(port).start());
        workers_->go_on(port);
        far_->release(port);
    }

    /// Until nothing moves any more, with everything taken out of the maps.
    [[nodiscard]] std::string settle() {
        for (std::uint16_t port = 0; port < kPathPorts; ++port) {
            note(far_->hold(port));
        }
        workers_->finish();  // each after the burst that it has in hand
        for (std::uint64_t arrived = UINT64_MAX; arrived != all_arrived();) {
            arrived = all_arrived();
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        return trouble_;
    }

    [[nodiscard]] std::uint64_t all_arrived() const { return far_->arrived(0) + far_->arrived(1); }

    void expect(std::uint64_t one, std::uint64_t other, const std::string& what) {
        if (one != other) {
            note(fmt::format("{}: {} and {}", what, one, other));
        }
    }

    [[nodiscard]] std::string audit() {
        const Books now = Books::now();
        xdp::VerdictCounters all;
        std::uint64_t xdp_sent = 0;
        for (std::uint16_t port = 0; port < kPathPorts; ++port) {
            const xdp::VerdictCounters& own = now.verdicts.at(port);
            xdp::add_to(all, own);
            rte_eth_stats stats{};
            (void)rte_eth_stats_get(port, &stats);
            expect(far_->sent(port), stats.ipackets + stats.ierrors + stats.imissed,
                   fmt::format("port {}: frames sent to it, and taken", port));
            expect(stats.ipackets,
                   own.drop + own.aborted + own.tx + own.tx_errors + own.redirect +
                       own.redirect_errors + workers_->delivered(port),
                   fmt::format("port {}: frames received, and verdicts", port));
            expect(stats.opackets, far_->arrived(port),
                   fmt::format("port {}: frames sent by it, and arrived", port));
            xdp_sent += stats.opackets;
            tally_.frames += far_->sent(port);
            tally_.arrived += far_->arrived(port);
        }
        xdp_sent -= workers_->sent();
        audit_redirects(now, all, xdp_sent);
        expect(far_->strange(), 0, "frames with bytes that nobody has sent");
        return trouble_;
    }

    /// Frames with verdict REDIRECT, of ports and of cpumaps, against what ports and CPUs got.
    void audit_redirects(const Books& now, const xdp::VerdictCounters& all, std::uint64_t sent) {
        const auto cpus = [&](std::uint64_t redirect::CpumapCounters::*of) {
            return now.cpus.*of - before_.cpus.*of;
        };
        using Cpumap = redirect::CpumapCounters;
        expect(cpus(&Cpumap::received),
               cpus(&Cpumap::pass) + cpus(&Cpumap::drop) + cpus(&Cpumap::aborted) +
                   cpus(&Cpumap::redirect) + cpus(&Cpumap::redirect_errors),
               "cpumaps: frames received, and verdicts");
        expect(cpus(&Cpumap::pass), workers_->from_cpus(), "cpumaps: passed, and delivered");
        expect(all.redirect_errors + cpus(&Cpumap::redirect_errors), now.errors - before_.errors,
               "failed redirects, and their reasons");
        const auto broadcasts = [&](std::uint64_t redirect::BroadcastCounters::*of) {
            return now.broadcasts.*of - before_.broadcasts.*of;
        };
        using Broadcasts = redirect::BroadcastCounters;
        const std::uint64_t later_to_cpus = now.later_to_cpus - before_.later_to_cpus;
        const std::uint64_t to_cpus =
            cpus(&Cpumap::received) + cpus(&Cpumap::enqueue_drops) - later_to_cpus;
        expect(all.redirect + cpus(&Cpumap::redirect) + broadcasts(&Broadcasts::copies),
               to_cpus + (sent - all.tx) + (now.slot_drops - before_.slot_drops) +
                   broadcasts(&Broadcasts::to_nobody) + broadcasts(&Broadcasts::later),
               "frames redirected, and what became of them");
    }

    /// Everything goes; no page may be left behind.
    [[nodiscard]] std::string clear() {
        workers_.reset();
        far_.reset();
        for (std::uint16_t port = 0; port < kPathPorts; ++port) {
            (void)xdp::detach(port);
        }
        object_.reset();
        wires_->close();
        std::string missing;
        if (datapath::buffers_missing(&missing) == 0) {
            missing.clear();
        }
        wires_.reset();
        return missing;
    }

    Books before_;
    std::uint64_t seed_;
    std::uint64_t frames_;
    PathTally& tally_;
    std::unique_ptr<PathWires> wires_;
    std::unique_ptr<FarEnds> far_;
    std::unique_ptr<PathWorkers> workers_;
    std::string path_;
    std::string trouble_;
    std::optional<Object> object_;
    Dice dice_;
};

}  // namespace

std::string path_round(const std::string& object,
                       std::uint64_t seed,
                       std::uint64_t frames,
                       PathTally& tally) {
    return PathRound(object, seed, frames, tally).run();
}

}  // namespace crema::test::fuzz
