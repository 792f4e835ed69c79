// SPDX-License-Identifier: BSD-3-Clause
//
// Construction, the engine's thread, and registration of the model. Registers: model_registers.cpp.
#include "drivers/model/neta/model.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <sched.h>
#include <time.h>

#include "drivers/model/neta/gmac.h"
#include "drivers/model/neta/interrupts.h"
#include "drivers/model/neta/register_map.h"
#include "lib/base/check.h"

namespace crema::neta::model {
namespace {

constexpr std::uint32_t kThreadBurst = 64;
constexpr unsigned kIdleRoundsMax = 4096;  // then the thread naps
constexpr long kNapNs = 20'000;
constexpr std::int64_t kAskWireNs = 100'000;
constexpr std::int64_t kAskCarrierNs = 10'000'000;

thread_local unsigned acting_cpu = 0;

// A locally administered address that follows from the instance's name, as firmware would have
// left one in the registers.
MacAddress power_on_address(const std::string& instance) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : instance) {
        hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
    }
    MacAddress mac{0x02};
    for (unsigned i = 1; i < mac.size(); ++i) {
        mac[i] = static_cast<std::uint8_t>(hash >> (8 * i));
    }
    return mac;
}

Result<std::unique_ptr<vfio::Servable>> make_servable(const vfio::DmaReach& reach,
                                                      const vfio::ModelArgs& args) {
    if (!args.engine.empty() && args.engine != "inline") {
        return fail(EINVAL, "engine={}: a model that is served has the engine inline", args.engine);
    }
    auto model = NetaModel::create(reach, args);
    if (!model) {
        return forward_error(model);
    }
    return std::unique_ptr<vfio::Servable>(std::move(*model));
}

[[gnu::constructor]] void register_with_vfio() {
    vfio::register_model("neta", NetaModel::create_device);
    vfio::register_servable("neta", make_servable);
}

}  // namespace

Result<NetaModel::EngineChoice> NetaModel::parse_engine(const std::string& text) {
    if (text.empty() || text == "inline") {
        return EngineChoice{};
    }
    if (text == "thread") {
        return EngineChoice{true, -1};
    }
    constexpr std::string_view kPrefix = "thread:";
    if (text.starts_with(kPrefix)) {
        EngineChoice choice{true, -1};
        const char* const end = text.data() + text.size();
        const auto [rest, error] = std::from_chars(text.data() + kPrefix.size(), end, choice.cpu);
        if (error == std::errc{} && rest == end && choice.cpu >= 0 && choice.cpu < CPU_SETSIZE) {
            return choice;
        }
    }
    return fail(EINVAL, "engine={}: want inline, thread or thread:CPU", text);
}

NetaModel::NetaModel(const vfio::DmaReach& reach,
                     const vfio::ModelArgs& args,
                     EngineChoice engine,
                     const Variant& variant,
                     std::uint64_t core_hz,
                     std::shared_ptr<vfio::CacheModel> cache)
    : cache_(std::move(cache)),
      chip_(args.instance, variant, core_hz),
      engine_(engine),
      rx_(chip_, reach),
      tx_(chip_, reach) {
    coherent_ = cache_ == nullptr;
    registers_.device = this;
    registers_.read_fn = read_fn;
    registers_.write_fn = write_fn;
    if (variant.buffer_manager) {
        attach_buffer_manager(reach);
    }
}

void NetaModel::attach_buffer_manager(const vfio::DmaReach& reach) {
    buffer_manager_ = std::make_unique<BufferManager>(reach, chip_.diagnostics);
    chip_.buffers = buffer_manager_.get();
    // Accesses stop the engines: they use the pools without a lock of their own.
    bm_registers_ = {.mapped = nullptr,
                     .device = this,
                     .read_fn =
                         [](void* self, std::uint32_t offset) {
                             return static_cast<NetaModel*>(self)->alone(
                                 [&](BufferManager& unit) { return unit.read(offset); });
                         },
                     .write_fn =
                         [](void* self, std::uint32_t offset, std::uint32_t value) {
                             static_cast<NetaModel*>(self)->alone(
                                 [&](BufferManager& unit) { unit.write(offset, value); });
                         }};
    bm_pointers_ = {.mapped = nullptr,
                    .device = this,
                    .read_fn =
                        [](void* self, std::uint32_t offset) {
                            return static_cast<NetaModel*>(self)->alone(
                                [&](BufferManager& unit) { return unit.read_pointer(offset); });
                        },
                    .write_fn =
                        [](void* self, std::uint32_t offset, std::uint32_t value) {
                            static_cast<NetaModel*>(self)->alone(
                                [&](BufferManager& unit) { unit.write_pointer(offset, value); });
                        }};
}

Result<std::unique_ptr<vfio::Device>> NetaModel::create_device(vfio::DmaSpace& dma,
                                                               const vfio::ModelArgs& args) {
    std::string wanted = args.cache;
    if (const char* usual = std::getenv("CREMA_MODEL_CACHE"); wanted.empty() && usual != nullptr) {
        wanted = usual;
    }
    std::shared_ptr<vfio::CacheModel> cache;
    if (!wanted.empty() && wanted != "coherent") {
        const auto behaviour = vfio::CacheModel::parse(wanted);
        if (!behaviour) {
            return forward_error(behaviour);
        }
        auto before = vfio::CacheModel::before(dma, *behaviour);
        if (!before) {
            return forward_error(before);
        }
        cache = std::move(*before);
    }
    const vfio::DmaReach& reach = cache != nullptr ? static_cast<vfio::DmaReach&>(*cache) : dma;
    auto model = make(reach, args, cache);
    if (!model) {
        return forward_error(model);
    }
    (*model)->dma_ = &dma;
    return std::unique_ptr<vfio::Device>(std::move(*model));
}

Result<std::unique_ptr<NetaModel>> NetaModel::create(const vfio::DmaReach& reach,
                                                     const vfio::ModelArgs& args) {
    return make(reach, args, nullptr);
}

Result<std::unique_ptr<NetaModel>> NetaModel::make(const vfio::DmaReach& reach,
                                                   const vfio::ModelArgs& args,
                                                   std::shared_ptr<vfio::CacheModel> cache) {
    const auto engine = parse_engine(args.engine);
    if (!engine) {
        return forward_error(engine);
    }
    const auto variant = find_variant(args.variant);
    if (!variant) {
        return forward_error(variant);
    }
    const auto core_hz = parse_core_clock(args.clock);
    if (!core_hz) {
        return forward_error(core_hz);
    }
    const auto faults = Faults::parse(args.faults);
    if (!faults) {
        return forward_error(faults);
    }
    const MacAddress mac = power_on_address(args.instance);
    auto wire = open_wire(args.wire, mac);
    if (!wire) {
        return forward_error(wire);
    }
    auto loopback = open_loop_wire("");
    if (!loopback) {
        return forward_error(loopback);
    }
    std::unique_ptr<NetaModel> model(
        new NetaModel(reach, args, *engine, **variant, *core_hz, std::move(cache)));
    model->wire_ = std::move(*wire);
    model->loopback_ = std::move(*loopback);
    model->power_on_mac_ = mac;
    model->chip_.faults.plan(*faults);
    power_on(model->chip_, mac);
    if (engine->threaded) {
        const auto started = model->start_thread(model->thread_, thread_main);
        if (!started) {
            return forward_error(started);
        }
        model->thread_started_ = true;
    }
    return model;
}

NetaModel::~NetaModel() {
    NetaModel::disable_interrupt();
    if (thread_started_) {
        stop_.store(true, std::memory_order_release);
        CREMA_CHECK(::pthread_join(thread_, nullptr) == 0);
    }
}

std::string NetaModel::describe() const {
    std::string engine = engine_.threaded ? "thread" : "inline";
    if (engine_.cpu >= 0) {
        engine += fmt::format(":{}", engine_.cpu);
    }
    const std::string soc =
        &chip_.variant == *find_variant("") ? "" : fmt::format(" of {}", chip_.variant.soc);
    return fmt::format("model{}, wire {}, engine {}{}", soc, wire_->describe(), engine,
                       cache_ != nullptr ? ", not coherent" : "");
}

void NetaModel::act_as_cpu(unsigned cpu) {
    acting_cpu = cpu;
}

unsigned NetaModel::caller_cpu() const {
    return acting_cpu < chip_.variant.cpus ? acting_cpu : 0;
}

Status NetaModel::start_thread(pthread_t& thread, void* (*body)(void*)) {
    pthread_attr_t attributes;
    if (const int error = ::pthread_attr_init(&attributes); error != 0) {
        return fail(error, "engine=thread: {}", std::strerror(error));
    }
    // The creator may be pinned (a DPDK worker is): the engine must not share its core by accident.
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (engine_.cpu < 0 || engine_.cpu == cpu) {
            CPU_SET(static_cast<unsigned>(cpu), &cpus);
        }
    }
    int error = ::pthread_attr_setaffinity_np(&attributes, sizeof(cpus), &cpus);
    if (error == 0) {
        error = ::pthread_create(&thread, &attributes, body, this);
    }
    (void)::pthread_attr_destroy(&attributes);
    if (error != 0) {
        return fail(error, "engine=thread{}: {}{}",
                    engine_.cpu < 0 ? "" : fmt::format(":{}", engine_.cpu), std::strerror(error),
                    error == EINVAL ? "; is that CPU online and allowed?" : "");
    }
    return {};
}

void* NetaModel::thread_main(void* self) {
    static_cast<NetaModel*>(self)->run_thread();
    return nullptr;
}

void NetaModel::run_thread() {
    unsigned idle_rounds = 0;
    while (!stop_.load(std::memory_order_acquire)) {
        while (lock_.contended()) {
            rte_pause();
        }
        lock_.lock();
        follow_link();
        Wire& wire = active_wire();
        std::uint32_t moved = tx_.run(wire, kThreadBurst);
        moved += rx_.run(wire, kThreadBurst);
        rx_.settle(false);
        show_line();
        lock_.unlock();
        tick_cache();
        idle_rounds = moved != 0 ? 0 : idle_rounds + 1;
        if (idle_rounds >= kIdleRoundsMax) {
            const timespec nap{0, kNapNs};
            (void)::nanosleep(&nap, nullptr);
        }
    }
}

void NetaModel::power_cycle() {
    lock_.lock();
    rx_.forget_late();  // its memory is gone
    power_on(chip_, power_on_mac_);
    if (buffer_manager_ != nullptr) {
        buffer_manager_->power_on();
    }
    lock_.unlock();
}

bool NetaModel::interrupt_level() {
    return chip_.faults.line_told(model::interrupt_level(chip_));
}

// Somebody sleeps until there is an interrupt, and there is none yet.
bool NetaModel::awaits_frames() const {
    return interrupts_wanted(chip_) && !model::interrupt_level(chip_);
}

bool NetaModel::advance() {
    const bool held = tx_.held_until_ns() != 0 && tx_.held_until_ns() <= now_ns();
    if (engine_.threaded || (!held && !awaits_frames())) {
        return false;
    }
    lock_.lock();
    follow_link();
    Wire& wire = active_wire();
    // Who only wants to hear of the link polls for frames.
    const bool sleeps = awaits_frames() && rx_interrupts_wanted(chip_);
    const std::uint32_t moved = sleeps ? rx_.run(wire, RxEngine::kBurst) : 0;
    if (tx_.held_until_ns() != 0) {
        lock_.kick();
    }
    release();
    return moved != 0 || held;
}

vfio::Servable::Idle NetaModel::idle() {
    Idle idle;
    if (!engine_.threaded && awaits_frames() && !rx_interrupts_wanted(chip_)) {
        idle.ns = kAskCarrierNs;
    } else if (!engine_.threaded && awaits_frames()) {
        idle.ns = coalescing_left(chip_);
        idle.fd = active_wire().wait_fd();
        if (idle.fd < 0) {
            idle.ns = std::min<std::int64_t>(idle.ns, kAskWireNs);
        }
    }
    if (const std::int64_t until = tx_.held_until_ns(); !engine_.threaded && until != 0) {
        idle.ns = std::min(idle.ns, std::max<std::int64_t>(until - now_ns(), 0));
    }
    return idle;
}

Wire& NetaModel::active_wire() {
    return loops_back(chip_) ? *loopback_ : *wire_;
}

void NetaModel::follow_link() {
    chip_.faults.link_step();
    update_link(chip_, wire_->link());
}

}  // namespace crema::neta::model
