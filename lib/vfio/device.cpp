// SPDX-License-Identifier: BSD-3-Clause
//
// Opens devices by specification. Models register themselves from constructors of
// the module that holds them, which may run before anything here is initialised, hence the
// function-local table. Control path only.
#include "lib/vfio/device.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <string_view>
#include <utility>

#include "lib/base/check.h"
#include "lib/vfio/kernel/device.h"
#include "lib/vfio/user/client.h"

namespace crema::vfio {
namespace {

struct Model {
    const char* chip = nullptr;
    ModelFactory factory = nullptr;
    ServableFactory servable = nullptr;
};

struct Models {
    std::mutex lock;
    std::array<Model, 8> table;
};

Models& models() {
    static Models registered;
    return registered;
}

Model find_model(const std::string& chip) {
    Models& registered = models();
    const std::scoped_lock lock(registered.lock);
    for (const Model& model : registered.table) {
        if (model.chip != nullptr && chip == model.chip) {
            return model;
        }
    }
    return {};
}

/// The chip's place in the table, new or known.
Model& place_of(Models& registered, const char* chip) {
    for (Model& model : registered.table) {
        if (model.chip == nullptr || std::strcmp(model.chip, chip) == 0) {
            model.chip = chip;
            return model;
        }
    }
    CREMA_CHECK(false && "model table full");
    return registered.table.front();
}

/// Something is given that only a model in this process can have.
bool speaks_of_model(const ModelArgs& args) {
    return !args.wire.empty() || !args.engine.empty() || !args.variant.empty() ||
           !args.clock.empty() || !args.cache.empty() || !args.faults.empty();
}

}  // namespace

Status Device::reattach() {
    return fail(ENOTSUP, "{}: cannot be found again", describe());
}

Result<int> Device::enable_interrupt() {
    return fail(ENOTSUP, "{}: no interrupts through this transport", describe());
}

ModelFactory register_model(const char* chip, ModelFactory factory) {
    Models& registered = models();
    const std::scoped_lock lock(registered.lock);
    return std::exchange(place_of(registered, chip).factory, factory);
}

void register_servable(const char* chip, ServableFactory factory) {
    Models& registered = models();
    const std::scoped_lock lock(registered.lock);
    place_of(registered, chip).servable = factory;
}

Result<std::unique_ptr<Servable>> make_servable(const std::string& chip,
                                                const DmaReach& reach,
                                                const ModelArgs& args) {
    const ServableFactory factory = find_model(chip).servable;
    if (factory == nullptr) {
        return fail(ENODEV, "no model of '{}' is loaded in this process", chip);
    }
    return factory(reach, args);
}

Result<std::unique_ptr<Device>> open(const std::string& spec,
                                     const std::string& chip,
                                     const ModelArgs& args,
                                     const KernelArgs& kernel_args) {
    const auto colon = spec.find(':');
    const std::string transport = spec.substr(0, colon);
    const std::string name = colon == std::string::npos ? "" : spec.substr(colon + 1);
    const bool of_kernel =
        colon != std::string::npos && (transport == "platform" || transport == "pci");
    if (!of_kernel && (!kernel_args.interface.empty() || kernel_args.allow_noiommu)) {
        return fail(EINVAL,
                    "device={}: vfio= and allow-noiommu= are for device=platform:NAME and pci:BDF",
                    spec);
    }
    if (spec == "model") {
        const ModelFactory factory = find_model(chip).factory;
        if (factory == nullptr) {
            return fail(ENODEV, "device=model: no model of '{}' is loaded in this process", chip);
        }
        return factory(process_dma_space(), args);
    }
    if (colon != std::string::npos && transport == "user") {
        if (name.empty()) {
            return fail(EINVAL, "device={}: want user:SOCKET", spec);
        }
        if (speaks_of_model(args)) {
            return fail(
                EINVAL,
                "device={}: wire=, engine=, cache=, faults=, variant= and clock= belong to the "
                "model: give them to crema-neta-model, behind the socket",
                spec);
        }
        return user::connect(name, process_dma_space());
    }
    if (of_kernel) {
        if (speaks_of_model(args)) {
            return fail(EINVAL,
                        "device={}: wire=, engine=, cache=, faults=, variant= and clock= are for "
                        "device=model",
                        spec);
        }
        const kernel::Bus bus = transport == "pci" ? kernel::Bus::pci : kernel::Bus::platform;
        return kernel::open(bus, name, kernel_args, process_dma_space());
    }
    return fail(EINVAL, "device={}: want model, user:SOCKET, platform:NAME or pci:BDF", spec);
}

}  // namespace crema::vfio
