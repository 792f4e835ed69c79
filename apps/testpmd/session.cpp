// SPDX-License-Identifier: BSD-3-Clause
#include "apps/testpmd/session.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "lib/base/log.h"
#include "lib/topology/this_cpu.h"
#include "lib/xdp/attach.h"

namespace crema::testpmd {
namespace {

/// 02:00:00:00:00:NN, the peer that dpdk-testpmd assumes behind port NN.
rte_ether_addr peer_address(std::uint16_t port_id) {
    return {.addr_bytes = {0x02, 0, 0, 0, 0, static_cast<std::uint8_t>(port_id)}};
}

int run_worker(void* worker) {
    static_cast<datapath::Worker*>(worker)->run();
    return 0;
}

std::size_t next_port(Topology topology, std::size_t i, std::size_t n) {
    switch (topology) {
        case Topology::loop:
            return i;
        case Topology::chained:
            return (i + 1) % n;
        case Topology::paired:
            break;
    }
    return (i ^ 1U) < n ? i ^ 1U : i;  // an odd one out pairs with itself
}

}  // namespace

Result<std::unique_ptr<Session>> Session::open(const Options& options) {
    auto session = std::unique_ptr<Session>(new Session(options));
    for (const auto step : {&Session::choose_workers, &Session::open_ports, &Session::make_taps,
                            &Session::load_programs, &Session::make_workers}) {
        if (const Status done = (session.get()->*step)(); !done) {
            return forward_error(done);
        }
    }
    return session;
}

Status Session::choose_workers() {
    const auto cpus = topology::cpus();
    if (!cpus) {
        return forward_error(cpus);
    }
    unsigned lcore = 0;
    RTE_LCORE_FOREACH_WORKER(lcore) {
        const int number = topology::cpu_of_lcore(lcore);
        if (number < 0) {
            return fail(EINVAL,
                        "lcore {} may run on several CPUs, a worker needs one: see "
                        "--lcores, for example --lcores 0@0,1@1",
                        lcore);
        }
        topology::Worker place = {.lcore = lcore, .cpu = {}};
        place.cpu.number = static_cast<std::uint32_t>(number);
        for (const topology::Cpu& cpu : *cpus) {
            if (cpu.number == place.cpu.number) {
                place.cpu = cpu;
            }
        }
        places_.push_back(place);
    }
    topology::sort_best_first(places_);
    const std::size_t wanted = options_.workers == 0 ? places_.size() : options_.workers;
    if (places_.empty() || wanted > places_.size()) {
        return fail(EINVAL,
                    "{} workers asked for, {} lcores besides the main one: give the EAL "
                    "more, for example -l 0-{} or --lcores 0@0,1@0",
                    std::max<std::size_t>(wanted, 1), places_.size(),
                    std::max<std::size_t>(wanted, 1));
    }
    places_.resize(wanted);
    return {};
}

Status Session::open_port(std::uint16_t port_id, std::uint16_t rx_queues) {
    std::vector<unsigned> senders;
    senders.reserve(places_.size());
    for (const topology::Worker& place : places_) {
        senders.push_back(place.lcore);
    }
    auto port = datapath::Port::open({.port_id = port_id,
                                      .rx_queues = rx_queues,
                                      .senders = senders,
                                      .rx_descriptors = options_.rx_descriptors,
                                      .tx_descriptors = options_.tx_descriptors,
                                      .mbufs = options_.mbufs,
                                      .mtu = options_.mtu,
                                      .promiscuous = options_.promiscuous,
                                      .rx_interrupts = options_.rx_interrupts});
    if (!port) {
        return forward_error(port);
    }
    ports_.push_back(std::move(*port));
    return {};
}

Status Session::open_ports() {
    static_assert(xdp::kPortsMax >= RTE_MAX_ETHPORTS);
    for (std::uint16_t port_id = 0; port_id < RTE_MAX_ETHPORTS; ++port_id) {
        if (rte_eth_dev_is_valid_port(port_id) == 0) {
            continue;
        }
        if (Status done = open_port(port_id, options_.rx_queues); !done) {
            return done;
        }
    }
    if (ports_.empty()) {
        return fail(ENODEV,
                    "no ports: give the EAL a device, for example --vdev "
                    "net_neta0,device=model,wire=gen");
    }
    return {};
}

Status Session::make_taps() {
    for (const PassSetting& setting : options_.passes) {
        std::uint16_t for_port = ports_.front()->port_id();
        if (setting.port) {
            const auto named = app::port_of(*setting.port);
            if (!named) {
                return forward_error(named);
            }
            for_port = *named;
        }
        const bool taken = is_tap(for_port) || std::ranges::any_of(taps_, [&](const auto& tap) {
                               return tap->for_port() == for_port;
                           });
        if (taken) {
            return fail(EINVAL, "--pass tap:{}: port {} has a TAP device or is one",
                        setting.interface, for_port);
        }
        auto tap = PassTap::make(for_port, setting.interface);
        if (!tap) {
            return forward_error(tap);
        }
        taps_.push_back(std::move(*tap));
        if (Status done = open_port(taps_.back()->port_id(), 1); !done) {
            return done;
        }
    }
    return {};
}

bool Session::is_tap(std::uint16_t port_id) const {
    return std::ranges::any_of(taps_,
                               [port_id](const auto& tap) { return tap->port_id() == port_id; });
}

Status Session::load_programs() {
    for (const app::MapSetting& setting : options_.settings) {
        programs_.keep(setting);
    }
    for (const app::ProgramSpec& spec : options_.programs) {
        if (Status done = attach(spec, app::Programs::How::joined); !done) {
            return done;
        }
    }
    if (options_.rps) {
        if (Status done = spread_flows(); !done) {
            return done;
        }
    }
    return programs_.check_settings();
}

Status Session::spread_flows() {
    std::vector<std::uint32_t> cpus = options_.rps->cpus;
    if (cpus.empty()) {
        std::vector<bool> polls(places_.size());
        for (const Polled& each : assign()) {
            polls[each.place] = true;
        }
        const bool all_poll = std::ranges::find(polls, false) == polls.end();
        for (std::size_t i = 0; i < places_.size(); ++i) {
            if (all_poll || !polls[i]) {
                cpus.push_back(places_[i].cpu.number);
            }
        }
    }
    for (const std::uint32_t cpu : cpus) {
        if (std::ranges::none_of(places_, [cpu](const topology::Worker& place) {
                return place.cpu.number == cpu;
            })) {
            return fail(EINVAL, "--rps: no worker runs on CPU {}: nobody would take its frames",
                        cpu);
        }
    }
    const auto spec = rps_program();
    if (!spec) {
        return forward_error(spec);
    }
    for (app::MapSetting& entry : rps_entries(cpus, options_.rps->queue_frames)) {
        programs_.keep(std::move(entry));
    }
    return attach(*spec, app::Programs::How::joined);
}

Status Session::attach(const app::ProgramSpec& spec, app::Programs::How how) {
    std::vector<std::uint16_t> where = port_ids();
    if (spec.port) {
        const auto port_id = app::port_of(*spec.port);
        if (!port_id) {
            return forward_error(port_id);
        }
        where = {*port_id};
    }
    return programs_.attach(spec, where, how);
}

void Session::fill_table() {
    table_.mode = options_.mode;
    table_.out.fill(datapath::ForwardTable::kNowhere);
    for (const auto& port : ports_) {
        table_.own[port->port_id()] = port->address();
        table_.peer[port->port_id()] = peer_address(port->port_id());
    }
    std::vector<std::uint16_t> ids = port_ids();
    for (const auto& tap : taps_) {  // these two belong together, whatever the mode
        table_.out[tap->for_port()] = tap->port_id();
        table_.out[tap->port_id()] = tap->for_port();
        table_.as_it_is[tap->port_id()] = table_.as_it_is[tap->for_port()] = true;
        std::erase(ids, tap->for_port());
    }
    for (std::size_t i = 0; i < ids.size(); ++i) {
        table_.out[ids[i]] = ids[next_port(options_.topology, i, ids.size())];
    }
}

std::vector<Session::Polled> Session::assign() const {
    std::vector<Polled> polled;
    std::vector<int> nodes;
    for (const auto& port : ports_) {
        for (std::uint16_t queue = 0; queue < port->rx_queues(); ++queue) {
            polled.push_back({.source = {.port = port.get(), .queue = queue}});
            nodes.push_back(rte_eth_dev_socket_id(port->port_id()));
        }
    }
    const auto chosen = topology::assign_queues(nodes, places_);
    for (std::size_t i = 0; i < polled.size(); ++i) {
        polled[i].place = chosen[i];
    }
    return polled;
}

Status Session::make_workers() {
    fill_table();
    const std::vector<Polled> polled = assign();
    for (std::size_t w = 0; w < places_.size(); ++w) {
        datapath::WorkerConfig config = {.lcore = places_[w].lcore,
                                         .cpu = places_[w].cpu.number,
                                         .burst = options_.burst,
                                         .idle_sleep_us = options_.idle_sleep_us,
                                         .rx_interrupts = options_.rx_interrupts,
                                         .sources = {}};
        for (const Polled& each : polled) {
            if (each.place == w) {
                config.sources.push_back(each.source);
            }
        }
        for (const auto& port : ports_) {
            config.ports[port->port_id()] = port.get();
        }
        auto worker = datapath::Worker::create(config, table_, stop_);
        if (!worker) {
            return forward_error(worker);
        }
        workers_.push_back(std::move(*worker));
    }
    return {};
}

Status Session::start() {
    if (forwarding_) {
        return {};
    }
    for (const auto& port : ports_) {
        if (Status done = port->start(); !done) {
            return done;
        }
    }
    stop_.store(false, std::memory_order_relaxed);
    for (const auto& worker : workers_) {
        const unsigned lcore = worker->config().lcore;
        if (const int rc = rte_eal_remote_launch(run_worker, worker.get(), lcore); rc != 0) {
            stop();
            return fail(-rc, "lcore {}: cannot start a worker: {}", lcore, rte_strerror(-rc));
        }
    }
    forwarding_ = true;
    return {};
}

void Session::stop() {
    resume_ = false;
    stop_.store(true, std::memory_order_relaxed);
    rte_eal_mp_wait_lcore();
    // Workers stop one after the other: the last may have sent frames to the CPU of the first.
    std::uint64_t under_way = 0;
    do {
        under_way = 0;
        for (const auto& worker : workers_) {
            under_way += worker->drain();
        }
    } while (under_way != 0);
    forwarding_ = false;
}

Status Session::set_mtu(std::uint16_t port_id, std::uint16_t mtu) {
    datapath::Port* const found = port(port_id);
    if (found == nullptr) {
        return fail(ENODEV, "port {} does not exist", port_id);
    }
    const bool was_forwarding = forwarding_;
    stop();  // nobody may poll a port that stops
    Status done = found->set_mtu(mtu);
    if (was_forwarding) {
        if (Status again = start(); !again) {
            return again;
        }
    }
    return done;
}

void Session::restart_ports() {
    const auto wants = [](const auto& each) { return each->wants_restart(); };
    if (std::ranges::none_of(ports_, wants)) {
        return;
    }
    const bool resume = resume_ || forwarding_;
    stop();  // nobody may poll a port that stops
    for (const auto& each : ports_) {
        if (!wants(each)) {
            continue;
        }
        if (const Status done = each->restart(); !done) {
            if (!std::exchange(away_, true)) {
                log::error("{}; tried again until it starts", done.error().message);
            }
            resume_ = resume;
            return;
        }
        log::warning("port {} ({}) was started anew", each->port_id(), each->name());
    }
    away_ = false;
    if (resume) {
        if (const Status done = start(); !done) {
            log::error("{}", done.error().message);
        }
    }
}

datapath::Port* Session::port(std::uint16_t port_id) const {
    for (const auto& each : ports_) {
        if (each->port_id() == port_id) {
            return each.get();
        }
    }
    return nullptr;
}

std::vector<std::uint16_t> Session::port_ids() const {
    std::vector<std::uint16_t> ids;
    ids.reserve(ports_.size());
    for (const auto& each : ports_) {
        if (!is_tap(each->port_id())) {
            ids.push_back(each->port_id());
        }
    }
    return ids;
}

double Session::seconds() const {
    return std::chrono::duration<double>(Clock::now() - began_).count();
}

app::Snapshot Session::snapshot() const {
    app::Snapshot all;
    all.seconds = seconds();
    for (const auto& each : ports_) {
        app::PortSnapshot own = app::snapshot_of_port(each->port_id(), each->generic());
        own.program = programs_.name_on(each->port_id());
        all.ports.push_back(std::move(own));
    }
    for (const auto& worker : workers_) {
        all.workers.push_back({.lcore = worker->config().lcore,
                               .cpu = worker->config().cpu,
                               .counters = worker->counters()});
        all.cpus.push_back({.cpu = worker->config().cpu,
                            .cpumap = redirect::cpumap_counters(worker->config().cpu)});
    }
    all.pools = app::snapshot_of_pools();
    all.programs = app::snapshot_of_programs();
    all.maps = app::snapshot_of_maps();
    all.redirects = app::snapshot_of_redirects();
    all.broadcast = redirect::broadcast_counters();
    return all;
}

Session::Totals Session::totals() const {
    Totals sum;
    for (const auto& each : ports_) {
        rte_eth_stats stats{};
        if (rte_eth_stats_get(each->port_id(), &stats) == 0) {
            sum.received += stats.ipackets;
            sum.sent += stats.opackets;
        }
    }
    return sum;
}

std::string Session::progress_line() {
    const Clock::time_point now = Clock::now();
    const double span = std::max(1e-3, std::chrono::duration<double>(now - progress_at_).count());
    const Totals sum = totals();
    const auto per_second = [span](std::uint64_t then, std::uint64_t since) {
        return static_cast<double>(then < since ? 0 : then - since) / span;
    };
    std::string line =
        fmt::format("crema-testpmd: {:.0f} s, {}, received {} ({:.0f}/s), sent {} ({:.0f}/s)",
                    seconds(), forwarding_ ? "forwarding" : "stopped", sum.received,
                    per_second(sum.received, progress_totals_.received), sum.sent,
                    per_second(sum.sent, progress_totals_.sent));
    progress_at_ = now;
    progress_totals_ = sum;
    return line;
}

app::Snapshot Session::close(std::string* missing) {
    stop();
    std::vector<rte_eth_link> links(ports_.size());  // as they were; a stopped port has none
    for (std::size_t i = 0; i < ports_.size(); ++i) {
        (void)rte_eth_link_get_nowait(ports_[i]->port_id(), &links[i]);
    }
    // Frames on their way between cores and in device rings come home before the last count.
    for (const auto& each : ports_) {
        each->stop();
    }
    app::Snapshot last = snapshot();
    last.type = "final";
    for (std::size_t i = 0; i < links.size(); ++i) {
        last.ports[i].link_up = links[i].link_status == RTE_ETH_LINK_UP;
        last.ports[i].link_mbps = links[i].link_speed;
    }
    workers_.clear();
    for (const auto& each : ports_) {
        each->close();
    }
    last.buffers_missing = static_cast<std::int64_t>(datapath::buffers_missing(missing));
    programs_.detach_all();
    ports_.clear();
    return last;
}

Session::~Session() {
    if (!ports_.empty()) {
        (void)close(nullptr);
    }
}

}  // namespace crema::testpmd
