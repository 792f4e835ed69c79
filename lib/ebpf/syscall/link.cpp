// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/link.h"

#include <atomic>
#include <utility>

namespace crema::ebpf::syscall {
namespace {

std::uint32_t next_id() {
    static std::atomic<std::uint32_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

PortHooks& hooks() {
    static PortHooks the_hooks = {
        .attach = [](std::uint32_t,
                     const std::shared_ptr<const LoadedProgram>&) { return -EINVAL; },
        .replace = [](std::uint32_t, const LoadedProgram&,
                      const std::shared_ptr<const LoadedProgram>&) { return -ENODEV; },
        .detach = [](std::uint32_t, const LoadedProgram&) {},
    };
    return the_hooks;
}

}  // namespace

void set_port_hooks(const PortHooks& installed) {
    hooks() = installed;
}

const PortHooks& port_hooks() {
    return hooks();
}

std::shared_ptr<Link> Link::attach(std::uint32_t ifindex,
                                   std::shared_ptr<const LoadedProgram> program,
                                   int* error) {
    *error = port_hooks().attach(ifindex, program);
    return *error == 0 ? std::make_shared<Link>(ifindex, std::move(program)) : nullptr;
}

Link::Link(std::uint32_t ifindex, std::shared_ptr<const LoadedProgram> program)
    : id_(next_id()), ifindex_(ifindex), program_(std::move(program)) {}

Link::~Link() {
    detach();
}

std::uint32_t Link::ifindex() const {
    const std::lock_guard lock(mutex_);
    return ifindex_;
}

std::shared_ptr<const LoadedProgram> Link::program() const {
    const std::lock_guard lock(mutex_);
    return program_;
}

int Link::update(const std::shared_ptr<const LoadedProgram>& next, const LoadedProgram* expected) {
    const std::lock_guard lock(mutex_);
    if (ifindex_ == 0) {
        return -ENOLINK;
    }
    if (expected != nullptr && expected != program_.get()) {
        return -EPERM;
    }
    if (next->program.expected_attach_type != program_->program.expected_attach_type) {
        return -EINVAL;
    }
    if (next == program_) {
        return 0;
    }
    const int result = port_hooks().replace(ifindex_, *program_, next);
    if (result == 0) {
        program_ = next;
    }
    return result == -ENODEV ? -ENOLINK : result;
}

void Link::detach() {
    const std::lock_guard lock(mutex_);
    if (ifindex_ != 0) {
        port_hooks().detach(ifindex_, *program_);
        ifindex_ = 0;
    }
}

}  // namespace crema::ebpf::syscall
