// SPDX-License-Identifier: BSD-3-Clause
//
// Opens devices by specification. In-process models are served; the other transports are refused
// with the reason and what to use instead. Models register themselves from constructors of the
// module that holds them, which may run before anything here is initialised, hence the
// function-local table. Control path only.
#include "lib/vfio/device.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <string_view>
#include <unistd.h>

#include "lib/base/check.h"

namespace crema::vfio {
namespace {

struct Model {
    const char* chip = nullptr;
    ModelFactory factory = nullptr;
};

struct Models {
    std::mutex lock;
    std::array<Model, 8> table;
};

Models& models() {
    static Models registered;
    return registered;
}

ModelFactory find_model(const std::string& chip) {
    Models& registered = models();
    const std::scoped_lock lock(registered.lock);
    for (const Model& model : registered.table) {
        if (model.chip != nullptr && chip == model.chip) {
            return model.factory;
        }
    }
    return nullptr;
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

void register_model(const char* chip, ModelFactory factory) {
    Models& registered = models();
    const std::scoped_lock lock(registered.lock);
    for (Model& model : registered.table) {
        if (model.chip == nullptr || std::strcmp(model.chip, chip) == 0) {
            model = {chip, factory};
            return;
        }
    }
    CREMA_CHECK(false && "model table full");
}

Result<std::unique_ptr<Device>> open(const std::string& spec,
                                     const std::string& chip,
                                     const ModelArgs& args) {
    if (spec == "model") {
        const ModelFactory factory = find_model(chip);
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
        return fail(ENOTSUP, "device={}: vfio-user is not served yet; use device=model", spec);
    }
    if (colon != std::string::npos && (transport == "platform" || transport == "pci")) {
        return refuse_kernel(spec, transport, name);
    }
    return fail(EINVAL, "device={}: want model, user:SOCKET, platform:NAME or pci:BDF", spec);
}

}  // namespace crema::vfio
