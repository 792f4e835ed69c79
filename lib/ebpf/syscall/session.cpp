// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/session.h"

#include <cstdlib>
#include <string_view>

#include "lib/base/caller.h"
#include "lib/base/check.h"
#include "lib/ebpf/maps/target_hooks.h"
#include "lib/ebpf/syscall/object_store.h"

namespace crema::ebpf::syscall {
namespace {

// libbpf gives no way to pass a context through its bpf(2) calls; the thread is the context.
thread_local Session* session_of_thread = nullptr;

/// A slot of an array of programs holds this; the program knows in how many it is.
std::shared_ptr<const LoadedProgram> as_member(const std::shared_ptr<const LoadedProgram>& one) {
    struct Membership {
        std::shared_ptr<const LoadedProgram> program;
        bool joined = false;

        explicit Membership(std::shared_ptr<const LoadedProgram> member)
            : program(std::move(member)) {}

        ~Membership() {
            if (joined) {
                program->replacements.leave_array();
            }
        }

        Membership(const Membership&) = delete;
        Membership& operator=(const Membership&) = delete;
    };

    // Made first: nothing may fail between joining and the object that leaves again.
    const auto membership = std::make_shared<Membership>(one);
    membership->joined = one->replacements.join_array();
    return membership->joined ? std::shared_ptr<const LoadedProgram>(membership, one.get())
                              : nullptr;
}

maps::ProgramRef program_ref(int fd) {
    maps::ProgramRef ref;
    const auto object = object_store::find_as<ProgramObject>(fd, &ref.error);
    if (object == nullptr) {
        return ref;
    }
    if (object->program->extension != nullptr) {
        ref.error = -EINVAL;  // it has no run of its own
        return ref;
    }
    ref.program = object->program;
    ref.as_member = as_member;
    ref.id = ref.program->id;
    ref.traits = traits_of(ref.program->program);
    ref.entry = ref.program->entry();
    ref.self = ref.program->self();
    ref.error = 0;
    return ref;
}

std::shared_ptr<maps::Map> map_ref(int fd, int* error) {
    const auto object = object_store::find_as<MapObject>(fd, error);
    return object != nullptr ? object->map : nullptr;
}

std::shared_ptr<maps::PerfEvent> event_ref(int fd, int* error) {
    const auto object = object_store::find_as<EventObject>(fd, error);
    if (object != nullptr) {
        return object->event;
    }
    const bool is_kernels = caller::link_of_descriptor(fd) == "anon_inode:[perf_event]";
    *error = is_kernels ? -EOPNOTSUPP : -EBADF;
    return nullptr;
}

[[gnu::constructor]] void install_lookups() {
    maps::set_perf_event_by_fd(event_ref);
    maps::set_program_by_fd(program_ref);
    maps::set_map_by_fd(map_ref);
}

}  // namespace

Engine default_engine() {
    const char* const jit = std::getenv("CREMA_JIT");
    return jit != nullptr && std::string_view(jit) == "off" ? Engine::interpreter
                                                            : Engine::automatic;
}

Session::Session(std::uint32_t log_level, OnRefusal on_refusal, Engine engine, Lifetime lifetime)
    : log_level_(log_level), on_refusal_(on_refusal), engine_(engine), lifetime_(lifetime) {
    CREMA_CHECK(session_of_thread == nullptr);
    session_of_thread = this;
}

Session::~Session() {
    session_of_thread = nullptr;
    object_store::remove_all_of(this);
}

const void* Session::owner() const {
    return lifetime_ == Lifetime::session ? this : object_store::kDescriptors;
}

Session* Session::current() {
    return session_of_thread;
}

std::shared_ptr<const LoadedProgram> program_of(int fd) {
    int error = 0;
    const auto object = object_store::find_as<ProgramObject>(fd, &error);
    return object != nullptr ? object->program : nullptr;
}

std::shared_ptr<maps::Map> map_of(int fd) {
    int error = 0;
    const auto object = object_store::find_as<MapObject>(fd, &error);
    if (object == nullptr) {
        return nullptr;
    }
    // The caller is a user of the map for as long as it holds the pointer.
    const auto user = std::make_shared<MapUser>(object->map);
    return {user, object->map.get()};
}

ProgramFd::Handle::~Handle() {
    object_store::remove_all_of(this);
}

Result<ProgramFd> ProgramFd::open(std::shared_ptr<const LoadedProgram> program) {
    auto handle = std::make_unique<Handle>();
    auto fd = object_store::add(ProgramObject{.program = std::move(program)}, handle.get());
    if (!fd) {
        return forward_error(fd);
    }
    handle->fd.reset(*fd);
    return ProgramFd(std::move(handle));
}

}  // namespace crema::ebpf::syscall
