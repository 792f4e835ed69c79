// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/extension_link.h"

#include <cerrno>
#include <mutex>
#include <utility>

#include "lib/ebpf/maps/reclaim.h"

namespace crema::ebpf::syscall {

ExtensionLink::ExtensionLink(std::shared_ptr<const LoadedProgram> extension, ReplacedFunction where)
    : extension_(std::move(extension)), where_(std::move(where)), start_(extension_->own_start()) {}

/// Calls of the function run `extension`; null: the function itself. The first function is nobody's
/// to call: who runs programs looks up where to start.
void ExtensionLink::lead_to(const LoadedProgram* extension) const {
    const LoadedProgram& target = *where_.program;
    if (where_.function == 0) {
        target.replacements.first.store(extension != nullptr ? &start_ : nullptr,
                                        std::memory_order_release);
    } else if (target.image != nullptr) {
        target.image->replace(where_.function,
                              extension != nullptr ? extension->image.get() : nullptr);
    } else {
        target.code.replace(
            where_.function,
            extension != nullptr ? reinterpret_cast<std::uintptr_t>(extension->code.entry()) : 0);
    }
}

Status ExtensionLink::put_in_place() {
    const LoadedProgram& target = *where_.program;
    if ((target.image != nullptr) != (extension_->image != nullptr)) {
        return fail(EINVAL, "program {} is {}, program {} is not: neither can call the other",
                    target.program.name, target.image != nullptr ? "interpreted" : "compiled",
                    extension_->program.name);
    }
    if (!target.replacements.add(where_.function)) {
        return fail(EBUSY,
                    "function {} of program {} is replaced already, or the program is in an "
                    "array of programs",
                    where_.function, target.program.name);
    }
    in_place_ = true;
    lead_to(extension_.get());
    return {};
}

ExtensionLink::~ExtensionLink() {
    if (in_place_) {
        lead_to(nullptr);
        // Where nobody can tell when runs end (a bare process), nobody runs programs either.
        (void)maps::wait_until_runs_ended();
        where_.program->replacements.remove(where_.function);
    }
}

Result<std::shared_ptr<Link>> ExtensionLink::attach(
    const std::shared_ptr<const LoadedProgram>& extension,
    std::shared_ptr<const LoadedProgram> target,
    std::uint32_t btf_type) {
    const Extension& own = *extension->extension;
    const std::lock_guard lock(own.mutex);
    if (target == nullptr && own.target == nullptr) {
        return fail(EINVAL, "program {} was put in its place before: a new one must be named",
                    extension->program.name);
    }
    ReplacedFunction where = {
        .program = own.target, .btf_type = own.btf_type, .function = own.function};
    if (target != nullptr && (target != own.target || btf_type != own.btf_type)) {
        if (target->program.expected_attach_type != own.attach_type) {
            return fail(EINVAL, "program {} is for programs of another attach type",
                        extension->program.name);
        }
        auto found = find_replaced(std::move(target), btf_type, extension->program);
        if (!found) {
            return forward_error(found);
        }
        if (const Status fits = check_arguments(*found->program, found->function, *extension);
            !fits) {
            return forward_error(fits);
        }
        if (extension->moves_packet(0) && !found->program->moves_packet(found->function)) {
            return fail(EINVAL, "Extension program changes packet data, while original does not");
        }
        where = std::move(*found);
    }
    auto link = std::make_shared<ExtensionLink>(extension, std::move(where));
    if (const Status placed = link->put_in_place(); !placed) {
        return forward_error(placed);
    }
    return std::shared_ptr<Link>(std::move(link));
}

void ExtensionLink::settle(const LoadedProgram& extension) {
    std::shared_ptr<const LoadedProgram> forgotten;  // may be the last one, and goes unlocked
    const std::lock_guard lock(extension.extension->mutex);
    forgotten.swap(extension.extension->target);
}

}  // namespace crema::ebpf::syscall
