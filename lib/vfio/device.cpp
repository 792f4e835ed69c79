// SPDX-License-Identifier: BSD-3-Clause
//
// Opens devices by specification. In-process models and vfio-user are served; kernel VFIO is
// refused with the reason and what to use instead. Models register themselves from constructors of
// the module that holds them, which may run before anything here is initialised, hence the
// function-local table. Control path only.
#include "lib/vfio/device.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <string_view>
#include <unistd.h>

#include "lib/base/check.h"
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

// Kernel VFIO: says which of the three things is missing.
tl::unexpected<Error> refuse_kernel(const std::string& spec,
                                    std::string_view bus,
                                    const std::string& name) {
    if (name.empty() || name.find('/') != std::string::npos) {
        return fail(EINVAL, "device={}: want {}:NAME with a name as in /sys/bus/{}/devices", spec,
                    bus, bus);
    }
    const std::string path = fmt::format("/sys/bus/{}/devices/{}", bus, name);
    if (::access(path.c_str(), F_OK) != 0) {
        return fail(ENODEV, "device={}: no such device ({} does not exist)", spec, path);
    }
    if (::access("/dev/vfio/vfio", F_OK) != 0) {
        return fail(ENODEV, "device={}: this kernel has no VFIO (/dev/vfio/vfio does not exist)",
                    spec);
    }
    return fail(ENOTSUP, "device={}: kernel VFIO is not served yet; use device=model", spec);
}

}  // namespace

Status Device::reattach() {
    return fail(ENOTSUP, "{}: cannot be found again", describe());
}

Result<int> Device::enable_interrupt() {
    return fail(ENOTSUP, "{}: no interrupts through this transport", describe());
}

void register_model(const char* chip, ModelFactory factory) {
    Models& registered = models();
    const std::scoped_lock lock(registered.lock);
    place_of(registered, chip).factory = factory;
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
                                     const ModelArgs& args) {
    if (spec == "model") {
        const ModelFactory factory = find_model(chip).factory;
        if (factory == nullptr) {
            return fail(ENODEV, "device=model: no model of '{}' is loaded in this process", chip);
        }
        return factory(process_dma_space(), args);
    }
    const auto colon = spec.find(':');
    const std::string transport = spec.substr(0, colon);
    const std::string name = colon == std::string::npos ? "" : spec.substr(colon + 1);
    if (colon != std::string::npos && transport == "user") {
        if (name.empty()) {
            return fail(EINVAL, "device={}: want user:SOCKET", spec);
        }
        if (!args.wire.empty() || !args.engine.empty()) {
            return fail(EINVAL,
                        "device={}: wire= and engine= belong to the model behind the socket: give "
                        "them to crema-neta-model",
                        spec);
        }
        return user::connect(name, process_dma_space());
    }
    if (colon != std::string::npos && (transport == "platform" || transport == "pci")) {
        return refuse_kernel(spec, transport, name);
    }
    return fail(EINVAL, "device={}: want model, user:SOCKET, platform:NAME or pci:BDF", spec);
}

}  // namespace crema::vfio
