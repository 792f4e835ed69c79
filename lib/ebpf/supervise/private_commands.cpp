// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/supervise/private_commands.h"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include <linux/bpf.h>

#include "lib/base/caller.h"
#include "lib/base/unique_fd.h"
#include "lib/ebpf/kfuncs/host_types.h"
#include "lib/ebpf/maps/ringbuf.h"
#include "lib/ebpf/maps/user_ringbuf.h"
#include "lib/ebpf/netlink/link_requests.h"
#include "lib/ebpf/supervise/port_programs.h"
#include "lib/ebpf/syscall/object_info.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/perf_events.h"
#include "lib/ebpf/syscall/pins.h"
#include "lib/ebpf/syscall/user_memory.h"

namespace crema::ebpf::supervise {
namespace {

using syscall::object_store::find;

std::string text_of(const syscall::MapObject& object) {
    const maps::Map& map = *object.map;
    const maps::MapSpec& spec = map.spec();
    return fmt::format(
        "map_type:\t{}\nkey_size:\t{}\nvalue_size:\t{}\nmax_entries:\t{}\nmap_flags:\t{:#x}\n"
        "map_extra:\t{:#x}\nmemlock:\t{}\nmap_id:\t{}\nfrozen:\t{}\n",
        static_cast<std::uint32_t>(spec.type), spec.key_size, spec.value_size, spec.max_entries,
        spec.flags, spec.extra, syscall::value_bytes_of(map), map.id(), map.frozen() ? 1 : 0);
}

std::string text_of(const syscall::ProgramObject& object) {
    const LoadedProgram& loaded = *object.program;
    return fmt::format(
        "prog_type:\t{}\nprog_jited:\t{}\nprog_tag:\t{}\nmemlock:\t{}\nprog_id:\t{}\n"
        "run_time_ns:\t{}\nrun_cnt:\t{}\nrecursion_misses:\t0\nverified_insns:\t{}\n",
        static_cast<unsigned>(loaded.extension != nullptr ? BPF_PROG_TYPE_EXT : BPF_PROG_TYPE_XDP),
        loaded.image == nullptr ? 1 : 0, syscall::tag_text(loaded.tag),
        syscall::whole_pages(loaded), loaded.id, loaded.stats.ns(), loaded.stats.runs(),
        loaded.verified_insns);
}

std::string text_of(const syscall::BtfObject& object) {
    return fmt::format("btf_id:\t{}\n", object.btf->id());
}

std::string text_of(const syscall::ProbeProgram& /*object*/) {
    return {};
}

std::string text_of(const syscall::EventObject& /*object*/) {
    return {};
}

std::string text_of(const syscall::StatsObject& /*object*/) {
    return {};
}

std::string text_of(const syscall::LinkObject& object) {
    const syscall::Link& link = *object.link;
    const auto program = link.program();
    const syscall::LinkPlace place = link.place();
    const bool at_port = place.program_id == 0;
    const std::string where =
        at_port ? fmt::format("ifindex:\t{}\n", place.ifindex)
                : fmt::format("attach_type:\t0\ntarget_obj_id:\t{}\ntarget_btf_id:\t{}\n",
                              place.program_id, place.btf_type);
    return fmt::format("link_type:\t{}\nlink_id:\t{}\nprog_tag:\t{}\nprog_id:\t{}\n{}",
                       at_port ? "xdp" : "tracing", link.id(), syscall::tag_text(program->tag),
                       program->id, where);
}

/// A file that reads as `text`.
long readable(std::string_view text) {
    UniqueFd file(::memfd_create("text", MFD_CLOEXEC));
    if (!file.valid()) {
        return -errno;
    }
    if (::pwrite(file.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
        return -EIO;
    }
    return file.release();
}

/// Made once; empty where the host shows no types.
const std::vector<std::uint8_t>& kernel_types_here() {
    static const std::vector<std::uint8_t> types = [] {
        std::ifstream file("/sys/kernel/btf/vmlinux", std::ios::binary);
        const std::vector<std::uint8_t> host((std::istreambuf_iterator<char>(file)),
                                             std::istreambuf_iterator<char>());
        auto merged = kfuncs::with_host_types(host);
        return merged ? std::move(*merged) : std::vector<std::uint8_t>();
    }();
    return types;
}

long kernel_types() {
    const std::vector<std::uint8_t>& types = kernel_types_here();
    return types.empty() ? -ENOENT
                         : readable({reinterpret_cast<const char*>(types.data()), types.size()});
}

long fd_info(int fd) {
    int error = 0;
    const auto object = find(fd, &error);
    if (object == nullptr) {
        return error;
    }
    const std::string text = std::visit([](const auto& held) { return text_of(held); }, *object);
    return readable("pos:\t0\nflags:\t02000002\nmnt_id:\t0\n" + text);
}

long inside_bpffs(int fd) {
    const std::string path = caller::proc_path("fd/") + std::to_string(fd);
    const UniqueFd directory(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    return directory.valid() && syscall::pins::is_inside(directory.get()) ? 0 : -EINVAL;
}

long duplicate(int fd) {
    const int copy = fd >= 0 ? ::fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
    return copy >= 0 ? copy : -errno;
}

/// Null: no map of that type.
template <typename Concrete>
Concrete* map_as(const syscall::StoredObject& object, maps::MapType type) {
    const auto* map = std::get_if<syscall::MapObject>(&object);
    return map != nullptr && map->map->spec().type == type ? static_cast<Concrete*>(map->map.get())
                                                           : nullptr;
}

maps::RingBuffer* ring_of(const syscall::StoredObject& object) {
    return map_as<maps::RingBuffer>(object, maps::MapType::ringbuf);
}

maps::UserRingBuffer* user_ring_of(const syscall::StoredObject& object) {
    return map_as<maps::UserRingBuffer>(object, maps::MapType::user_ringbuf);
}

long ring_events(int fd) {
    int error = 0;
    const auto object = find(fd, &error);
    if (object == nullptr) {
        return error;
    }
    if (const auto* event = std::get_if<syscall::EventObject>(object.get()); event != nullptr) {
        return duplicate(event->event->wakeups().shared_fd());
    }
    if (maps::UserRingBuffer* const ring = user_ring_of(*object); ring != nullptr) {
        return duplicate(ring->wakeups().shared_fd());
    }
    maps::RingBuffer* const ring = ring_of(*object);
    return ring != nullptr ? duplicate(ring->wakeups().shared_fd()) : -EINVAL;
}

long ring_data(int fd) {
    int error = 0;
    const auto object = find(fd, &error);
    if (object == nullptr) {
        return error;
    }
    if (maps::UserRingBuffer* const ring = user_ring_of(*object); ring != nullptr) {
        return duplicate(ring->data_fd());
    }
    maps::RingBuffer* const ring = ring_of(*object);
    return ring != nullptr ? duplicate(ring->data_fd()) : -EINVAL;
}

static_assert(static_cast<int>(NetlinkHandling::instead) ==
                  static_cast<int>(netlink::Handling::instead) &&
              static_cast<int>(NetlinkHandling::before_dump) ==
                  static_cast<int>(netlink::Handling::before_dump));

long answer_netlink(std::uint64_t attr, std::uint32_t size) {
    NetlinkAttr asked{};
    if (size != sizeof asked) {
        return -EINVAL;
    }
    if (const int err = syscall::copy_in(&asked, attr, sizeof asked); err != 0) {
        return err;
    }
    if (asked.request_bytes > kNetlinkBytesMax) {
        return -E2BIG;
    }
    std::vector<std::uint8_t> request(asked.request_bytes);
    if (const int err = syscall::copy_in(request.data(), asked.request, request.size()); err != 0) {
        return err;
    }
    const netlink::Answer answer =
        netlink::answer(request, {.capped = asked.capped != 0, .extended = asked.extended != 0});
    asked.reply_bytes = static_cast<std::uint32_t>(answer.messages.size());
    if (answer.messages.size() > asked.reply_room) {
        return -ENOSPC;
    }
    if (const int err =
            syscall::copy_out(asked.reply, answer.messages.data(), answer.messages.size());
        err != 0) {
        return err;
    }
    const int err = syscall::copy_out(attr, &asked, sizeof asked);
    return err != 0 ? err : static_cast<long>(answer.handling);
}

}  // namespace

long serve_private(int command, std::uint64_t attr, std::uint32_t size) {
    if (static_cast<PrivateCommand>(command) == PrivateCommand::netlink) {
        return answer_netlink(attr, size);
    }
    if (static_cast<PrivateCommand>(command) == PrivateCommand::port_programs) {
        return serve_port_programs(attr, size);
    }
    PrivateAttr asked{};
    if (size != sizeof asked) {
        return -EINVAL;
    }
    if (const int err = syscall::copy_in(&asked, attr, sizeof asked); err != 0) {
        return err;
    }
    switch (static_cast<PrivateCommand>(command)) {
        case PrivateCommand::fd_info:
            return fd_info(asked.fd);
        case PrivateCommand::inside_bpffs:
            return inside_bpffs(asked.fd);
        case PrivateCommand::ring_events:
            return ring_events(asked.fd);
        case PrivateCommand::ring_data:
            return ring_data(asked.fd);
        case PrivateCommand::kernel_types:
            return kernel_types();
        case PrivateCommand::event_map:
            return syscall::perf_event_map(asked.fd, asked.argument, asked.request != 0);
        case PrivateCommand::event_control:
            return syscall::perf_event_control(asked.fd, asked.request, asked.argument);
        default:
            return -EINVAL;
    }
}

}  // namespace crema::ebpf::supervise
