// SPDX-License-Identifier: BSD-3-Clause
//
// One device surface, several transports: kernel VFIO, vfio-user, in-process model. A driver gets
// a Device, its registers and the DMA space, and cannot tell which transport is behind it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

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

  protected:
    Registers registers_;
    DmaSpace* dma_ = nullptr;
    bool coherent_ = true;
};

/// Arguments of an in-process model; from the driver's device arguments.
struct ModelArgs {
    std::string instance{};  // ethdev name, for messages
    std::string wire{};      // "null", "pair:x", ...; empty = null
    std::string engine{};    // "inline" (default): runs inside register accesses; "thread[:CPU]"
};

using ModelFactory = Result<std::unique_ptr<Device>> (*)(DmaSpace& dma, const ModelArgs& args);

/// Called by a constructor of the model; `chip` has static storage.
void register_model(const char* chip, ModelFactory factory);

/// Opens a device. spec: "model" | "user:SOCKET" | "platform:NAME" | "pci:BDF".
/// chip: which model "model" means ("neta"). Errors: EINVAL unknown form, ENOTSUP transport that
/// this version does not serve, ENODEV no such device or model, and what the wire says.
[[nodiscard]] Result<std::unique_ptr<Device>> open(const std::string& spec,
                                                   const std::string& chip,
                                                   const ModelArgs& args);

}  // namespace crema::vfio
