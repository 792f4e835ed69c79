// SPDX-License-Identifier: BSD-3-Clause
//
// Runs that trust the proof.
#include <algorithm>
#include <sched.h>

#include "lib/ebpf/interpreter/interpreter.h"
#include "lib/ebpf/interpreter/machine.h"

namespace crema::ebpf::interpreter {
namespace {

/// Programs' frames lie on the thread's own stack, where helpers look for them (checked_read.h);
/// AddressSanitizer would put them elsewhere to see who uses them afterwards.
[[gnu::no_sanitize_address]] std::uint64_t run_trusted(XdpBuff& buff,
                                                       const Image& image,
                                                       std::uint32_t first_slot,
                                                       const Arguments& arguments) {
    Trust trust;
    Activation<Trust> activation(buff, trust);
    if (!image.has_callbacks()) {
        return activation.run(image, first_slot, arguments);
    }
    const CallbackScope scope({.activation = &activation, .call = Activation<Trust>::call_back});
    return activation.run(image, first_slot, arguments);
}

}  // namespace

std::uint64_t run(XdpBuff* buff, const void* self) {
    return run_trusted(*buff, *static_cast<const Image*>(self), 0,
                       {reinterpret_cast<std::uintptr_t>(buff)});
}

std::uint64_t run_extension(XdpBuff& buff, const Image& image, const Arguments& arguments) {
    return run_trusted(buff, image, 0, arguments);
}

std::uint64_t run_callback(const Image& image,
                           std::uint32_t first_slot,
                           const Arguments& arguments) {
    XdpBuff buff{};
    buff.cpu = static_cast<std::uint32_t>(std::max(sched_getcpu(), 0));
    return run_trusted(buff, image, first_slot, arguments);
}

}  // namespace crema::ebpf::interpreter
