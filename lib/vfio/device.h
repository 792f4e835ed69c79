// SPDX-License-Identifier: BSD-3-Clause
//
// One device surface, several transports: kernel VFIO, vfio-user, in-process model. A driver gets
// a Device, its registers and the DMA space, and cannot tell which transport is behind it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "lib/base/result.h"
#include "lib/vfio/dma_space.h"
#include "lib/vfio/registers.h"

namespace crema::vfio {

class Device {
  public:
    virtual ~Device() = default;
    Device() = default;
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    [[nodiscard]] const Registers& registers() const { return registers_; }

    /// Memory the device may reach.
    [[nodiscard]] DmaSpace& dma() const { return *dma_; }

    /// False when CPU caches must be maintained around DMA (dma_sync.h does it).
    [[nodiscard]] bool coherent() const { return coherent_; }

    /// One line for people: transport and what is behind it ("model, wire tap:neta0").
    [[nodiscard]] virtual std::string describe() const = 0;

    /// False once the device has vanished (its process died): registers read 0, writes go nowhere,
    /// no DMA happens. It said so in one error line.
    [[nodiscard]] virtual bool alive() const { return true; }

    /// May alive() become false at all?
    [[nodiscard]] virtual bool can_vanish() const { return false; }

    /// Is something there again where the vanished device was, so that reattach() is worth a try?
    /// Does not wait. Any thread.
    [[nodiscard]] virtual bool is_back() const { return false; }

    /// How often a model committed the fault of this name on purpose; 0 for what commits none.
    [[nodiscard]] virtual std::uint64_t injected(std::string_view /*what*/) const { return 0; }

    /// Finds a vanished device again: as after power-on, with the memory of dma() and the interrupt
    /// that it had. No other call at the same time. Errors: it is not back; it stays dead.
    [[nodiscard]] virtual Status reattach();

    /// An event descriptor (eventfd(2), non-blocking) that becomes readable when the device raises
    /// its interrupt; the same one for every call. The line stays silent after each event until
    /// rearm_interrupt(). Errors: ENOTSUP transport without interrupts, else what the device says.
    [[nodiscard]] virtual Result<int> enable_interrupt();

    /// After the cause was served: the next one, also one that is there already, is an event again.
    virtual void rearm_interrupt() {}

    virtual void disable_interrupt() {}

    /// What stops the device's DMA, should this process end without closing it. Only a device that
    /// nothing else keeps from memory does something with it; memory that is mapped later is
    /// covered less well (kernel/guardian.h). Errors: then nobody stops it.
    [[nodiscard]] virtual Status stop_at_death(std::span<const RegisterWrite> /*writes*/) {
        return {};
    }

  protected:
    Registers registers_;
    DmaSpace* dma_ = nullptr;  // set before a driver has the device
    bool coherent_ = true;
};

/// Arguments of an in-process model; from the driver's device arguments.
struct ModelArgs {
    std::string instance{};  // ethdev name, for messages
    std::string wire{};      // "null", "pair:x", ...; empty = null
    std::string engine{};    // "inline" (default): runs inside register accesses; "thread[:CPU]"
    std::string variant{};   // which SoC, of those that the model knows; empty: its default
    std::string clock{};     // Hz of the clock that times are counted in; empty: its default
    std::string faults{};    // that the model commits on purpose, in its words; empty: none
    std::string cache{};     // "coherent", "noncoherent", "evicting[:SEED]": see cache_model.h;
                             // empty: what CREMA_MODEL_CACHE says, else coherent
};

/// How a device of the kernel's VFIO is opened; from the driver's device arguments.
struct KernelArgs {
    std::string interface {};    // "group", "iommufd"; empty: the group where the kernel has groups
    bool allow_noiommu = false;  // also a device that no IOMMU keeps from other memory
};

using ModelFactory = Result<std::unique_ptr<Device>> (*)(DmaSpace& dma, const ModelArgs& args);

/// Called by a constructor of the model; `chip` has static storage. Returns what was registered
/// before, or null.
ModelFactory register_model(const char* chip, ModelFactory factory);

/// A model that another process is to drive (user/server.h). One thread does everything: register
/// accesses, and advance() between them.
class Servable {
  public:
    /// When advance() would find something to do without a register access.
    struct Idle {
        int fd = -1;                  // readable: at once
        std::int64_t ns = INT64_MAX;  // after this time
    };

    Servable() = default;
    Servable(const Servable&) = delete;
    Servable& operator=(const Servable&) = delete;
    virtual ~Servable() = default;

    [[nodiscard]] virtual const Registers& register_block() const = 0;

    /// Length of the register block, a power of two.
    [[nodiscard]] virtual std::uint32_t register_bytes() const = 0;

    /// Power-on state. What the device knew of memory is forgotten.
    virtual void power_cycle() = 0;

    /// State of the interrupt line.
    [[nodiscard]] virtual bool interrupt_level() = 0;

    /// Lets the device work for a moment; true when something moved.
    virtual bool advance() = 0;

    [[nodiscard]] virtual Idle idle() = 0;

    /// One line for people.
    [[nodiscard]] virtual std::string about() const = 0;

    /// Faults of the driver so far, as the model counts them.
    [[nodiscard]] virtual std::uint64_t driver_faults() const = 0;

    /// What the model did wrong on purpose so far, for people; empty when it was not told to.
    [[nodiscard]] virtual std::string injected_faults() const { return {}; }
};

/// `reach` outlives the model.
using ServableFactory = Result<std::unique_ptr<Servable>> (*)(const DmaReach& reach,
                                                              const ModelArgs& args);

/// As register_model().
void register_servable(const char* chip, ServableFactory factory);

/// Makes a model to be served. Errors: ENODEV no such model, and what it says.
[[nodiscard]] Result<std::unique_ptr<Servable>> make_servable(const std::string& chip,
                                                              const DmaReach& reach,
                                                              const ModelArgs& args);

/// Opens a device. spec: "model" | "user:SOCKET" | "platform:NAME" | "pci:BDF".
/// chip: which model "model" means ("neta"). Errors: EINVAL unknown form, ENOTSUP transport that
/// this version does not serve, ENODEV no such device or model, and what the wire says. Arguments
/// for another kind of device are EINVAL.
[[nodiscard]] Result<std::unique_ptr<Device>> open(const std::string& spec,
                                                   const std::string& chip,
                                                   const ModelArgs& args,
                                                   const KernelArgs& kernel_args = {});

}  // namespace crema::vfio
