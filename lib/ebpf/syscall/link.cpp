// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/link.h"

#include <atomic>
#include <cerrno>
#include <utility>

#include "lib/ebpf/syscall/ports.h"

namespace crema::ebpf::syscall {
namespace {

std::uint32_t next_id() {
    static std::atomic<std::uint32_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

Link::Link() : id_(next_id()) {}

int Link::update(const std::shared_ptr<const LoadedProgram>& /*next*/,
                 const LoadedProgram* /*expected*/) {
    return -EINVAL;
}

int Link::detach() {
    return -EOPNOTSUPP;
}

Result<std::shared_ptr<Link>> PortLink::attach(std::uint32_t ifindex,
                                               std::shared_ptr<const LoadedProgram> program,
                                               std::uint32_t flags) {
    // Made first: nothing may fail between the port's consent and the link that lets go of it.
    auto link = std::make_shared<PortLink>(program);
    if (const Status done = port_hooks().change(
            ifindex,
            {.program = std::move(program), .expected = nullptr, .flags = flags, .by_link = true});
        !done) {
        return forward_error(done);
    }
    link->ifindex_ = ifindex;
    return std::shared_ptr<Link>(std::move(link));
}

PortLink::PortLink(std::shared_ptr<const LoadedProgram> program) : program_(std::move(program)) {}

PortLink::~PortLink() {
    let_go();
}

LinkPlace PortLink::place() const {
    const std::lock_guard lock(mutex_);
    return {.ifindex = ifindex_};
}

std::shared_ptr<const LoadedProgram> PortLink::program() const {
    const std::lock_guard lock(mutex_);
    return program_;
}

int PortLink::update(const std::shared_ptr<const LoadedProgram>& next,
                     const LoadedProgram* expected) {
    const std::lock_guard lock(mutex_);
    if (ifindex_ == 0) {
        return -ENOLINK;
    }
    if (expected != nullptr && expected != program_.get()) {
        return -EPERM;
    }
    if (next->extension != nullptr ||
        next->program.expected_attach_type != program_->program.expected_attach_type) {
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

int PortLink::detach() {
    let_go();
    return 0;
}

void PortLink::let_go() {
    const std::lock_guard lock(mutex_);
    if (ifindex_ != 0) {
        port_hooks().detach(ifindex_, *program_);
        ifindex_ = 0;
    }
}

}  // namespace crema::ebpf::syscall
