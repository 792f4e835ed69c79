// SPDX-License-Identifier: BSD-3-Clause
//
// A NETA port in software, behind the device surface of lib/vfio: registers with their side
// effects, eight RX and eight TX queues, and a wire. Written from the hardware page, never from
// the driver. Registered as the model of chip "neta" when its module is loaded.
//
// Engines: `inline` runs them inside the driver's register accesses (reading RXQ_STATUS takes
// frames from the wire, writing TXQ_UPDATE sends); `thread[:CPU]` gives them a thread. Registers
// may be used by any number of threads; two may use different queues at once.
// Served to another process (vfio::Servable) the inline engine also takes frames from the wire when
// interrupts are enabled and none is raised; a driver that polls is served by its own reads.
// Does not: model big-endian mode, or the time of a bus.
#pragma once

#include <atomic>
#include <memory>
#include <pthread.h>
#include <string>

#include "drivers/model/neta/buffer_manager.h"
#include "drivers/model/neta/chip.h"
#include "drivers/model/neta/engine_lock.h"
#include "drivers/model/neta/interrupt_line.h"
#include "drivers/model/neta/rx_engine.h"
#include "drivers/model/neta/tx_engine.h"
#include "drivers/model/neta/wires/wire.h"
#include "lib/vfio/cache_model.h"
#include "lib/vfio/device.h"

namespace crema::neta::model {

class NetaModel final : public vfio::Device, public vfio::Servable {
  public:
    /// Errors: EINVAL for engine, variant and clock, and what the wire says.
    [[nodiscard]] static Result<std::unique_ptr<NetaModel>> create(const vfio::DmaReach& reach,
                                                                   const vfio::ModelArgs& args);

    /// As the device of a driver in this process; args.cache says whether it is coherent.
    [[nodiscard]] static Result<std::unique_ptr<vfio::Device>> create_device(
        vfio::DmaSpace& dma, const vfio::ModelArgs& args);

    ~NetaModel() override;
    NetaModel(const NetaModel&) = delete;
    NetaModel& operator=(const NetaModel&) = delete;

    [[nodiscard]] std::string describe() const override;

    // interrupt_watch.cpp
    [[nodiscard]] Result<int> enable_interrupt() override;
    void rearm_interrupt() override;
    void disable_interrupt() override;

    [[nodiscard]] const vfio::Registers& register_block() const override { return registers_; }

    [[nodiscard]] std::uint32_t register_bytes() const override { return kRegionBytes; }

    void power_cycle() override;
    [[nodiscard]] bool interrupt_level() override;
    bool advance() override;
    [[nodiscard]] Idle idle() override;

    [[nodiscard]] std::string about() const override { return describe(); }

    [[nodiscard]] std::uint64_t driver_faults() const override { return chip_.diagnostics.total(); }

    [[nodiscard]] std::uint64_t injected(std::string_view what) const override {
        return chip_.faults.count_of(what);
    }

    [[nodiscard]] std::string injected_faults() const override { return chip_.faults.describe(); }

    /// The buffer manager as CPUs reach it: its registers, and the window of pointers. Only
    /// variants that have one; in this process only.
    [[nodiscard]] const vfio::Registers& buffer_manager_registers() const { return bm_registers_; }

    [[nodiscard]] const vfio::Registers& buffer_pointers() const { return bm_pointers_; }

    [[nodiscard]] const BufferManager* buffer_manager() const { return buffer_manager_.get(); }

    /// Variants with banked interrupt registers: which CPU's copy the calling thread reads and
    /// writes from now on. Threads that never say are CPU 0, and so are other processes.
    static void act_as_cpu(unsigned cpu);

    /// For tests: what the driver did wrong, the counters without clearing, the wire's losses.
    [[nodiscard]] const Diagnostics& diagnostics() const { return chip_.diagnostics; }

    [[nodiscard]] const Chip& chip() const { return chip_; }

    [[nodiscard]] const WireLosses& wire_losses() const { return wire_->losses(); }

  private:
    struct EngineChoice {
        bool threaded = false;
        int cpu = -1;
    };

    NetaModel(const vfio::DmaReach& reach,
              const vfio::ModelArgs& args,
              EngineChoice engine,
              const Variant& variant,
              std::uint64_t core_hz,
              std::shared_ptr<vfio::CacheModel> cache);

    static Result<std::unique_ptr<NetaModel>> make(const vfio::DmaReach& reach,
                                                   const vfio::ModelArgs& args,
                                                   std::shared_ptr<vfio::CacheModel> cache);
    static Result<EngineChoice> parse_engine(const std::string& text);
    [[nodiscard]] unsigned caller_cpu() const;
    [[nodiscard]] Status start_thread(pthread_t& thread, void* (*body)(void*));
    static void* watch_main(void* self);
    void watch();
    void wake_watcher() const;
    static void* thread_main(void* self);
    void run_thread();

    static std::uint32_t read_fn(void* self, std::uint32_t offset);
    static void write_fn(void* self, std::uint32_t offset, std::uint32_t value);
    std::uint32_t read(std::uint32_t offset);
    std::uint32_t read_special(std::uint32_t offset);
    std::uint32_t read_interrupt(std::uint32_t offset);
    void write(std::uint32_t offset, std::uint32_t value);
    void write_control(std::uint32_t offset, std::uint32_t value);
    void write_special(std::uint32_t offset, std::uint32_t value);
    void write_ring(std::uint32_t offset, std::uint32_t value);
    void write_queue_command(std::uint32_t offset, std::uint32_t value);
    void write_gmac(std::uint32_t offset, std::uint32_t value);
    void update_rx(unsigned queue, std::uint32_t value);
    void update_tx(unsigned queue, std::uint32_t value);

    [[nodiscard]] Wire& active_wire();
    void follow_link();
    void poll_rx(unsigned queue);
    void resume_tx();
    [[nodiscard]] bool awaits_frames() const;

    /// Engine lock held.
    void show_line() {
        if (line_.armed()) {
            line_.show(interrupt_level());
        }
    }

    void release();
    void attach_buffer_manager(const vfio::DmaReach& reach);

    /// An access of a CPU to the buffer manager. Doorbells that find the lock taken are served
    /// after.
    template <typename Access>
    auto alone(Access&& access) {
        struct Guard {
            explicit Guard(NetaModel& owner) : model(owner) { model.lock_.lock(); }

            ~Guard() { model.release(); }

            Guard(const Guard&) = delete;
            Guard& operator=(const Guard&) = delete;

            NetaModel& model;
        };

        const Guard guard(*this);
        return access(*buffer_manager_);
    }

    /// Time passes for the cache before the memory, if there is one.
    void tick_cache() const {
        if (cache_ != nullptr) {
            cache_->tick();
        }
    }

    std::shared_ptr<vfio::CacheModel> cache_;  // null: the device sees what the CPU sees
    Chip chip_;
    std::unique_ptr<BufferManager> buffer_manager_;
    vfio::Registers bm_registers_;
    vfio::Registers bm_pointers_;
    MacAddress power_on_mac_{};
    EngineLock lock_;
    EngineChoice engine_;
    std::unique_ptr<Wire> wire_;
    std::unique_ptr<Wire> loopback_;  // stands in for the wire while a loopback bit is set
    RxEngine rx_;
    TxEngine tx_;
    pthread_t thread_{};
    bool thread_started_ = false;
    std::atomic<bool> stop_{false};
    // Of a driver in this process.
    InterruptLine line_;
    UniqueFd watch_wake_;
    pthread_t watcher_{};
    std::atomic<bool> watching_{false};
    std::atomic<bool> watch_stop_{false};
};

}  // namespace crema::neta::model
