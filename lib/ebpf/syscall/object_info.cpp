// SPDX-License-Identifier: BSD-3-Clause
//
// OBJ_GET_INFO_BY_FD, BTF_LOAD and PROG_BIND_MAP. Info structures have the sizes of kernel 6.18;
// the fields behind those of <linux/bpf.h> 6.1 are zero. Instruction and code dumps are not given
// out (their pointers come back null, as from a kernel that restricts them), and program tags are
// zero.
#include <algorithm>
#include <array>
#include <cstring>
#include <unistd.h>
#include <vector>

#include "lib/ebpf/syscall/commands.h"
#include "lib/ebpf/syscall/user_memory.h"

namespace crema::ebpf::syscall {
namespace {

constexpr std::size_t kProgInfoBytes = 232, kMapInfoBytes = 104, kBtfInfoBytes = 32;
static_assert(sizeof(bpf_prog_info) <= kProgInfoBytes);
static_assert(sizeof(bpf_map_info) <= kMapInfoBytes);
static_assert(sizeof(bpf_btf_info) <= kBtfInfoBytes);

/// The caller's buffer of attr.info.info_len bytes, in and out.
class InfoBuffer {
  public:
    explicit InfoBuffer(const Call& call)
        : call_(call), user_(call.attr.info.info), user_bytes_(call.attr.info.info_len) {}

    /// Reads what the caller put in; `bytes` is the kernel's size of the structure. 0, -E2BIG when
    /// the caller's is longer and not zero there, -EFAULT.
    template <typename Info>
    int read(Info& info, std::size_t bytes) {
        if (user_bytes_ > static_cast<std::size_t>(getpagesize())) {
            return -E2BIG;
        }
        if (user_bytes_ > bytes) {
            if (const int err = check_zero(user_ + bytes, user_bytes_ - bytes); err != 0) {
                return err;
            }
        }
        bytes_ = std::min<std::size_t>(user_bytes_, bytes);
        return copy_in(&info, user_, std::min(bytes_, sizeof(info)));
    }

    template <typename Info>
    int write(const Info& info) {
        std::array<std::uint8_t, kProgInfoBytes> image{};
        std::memcpy(image.data(), &info, sizeof(info));
        if (const int err = copy_out(user_, image.data(), bytes_); err != 0) {
            return err;
        }
        const auto written = static_cast<std::uint32_t>(bytes_);
        return copy_out(call_.user_attr + offsetof(bpf_attr, info.info_len), &written,
                        sizeof(written));
    }

  private:
    const Call& call_;
    std::uint64_t user_;
    std::size_t user_bytes_;
    std::size_t bytes_ = 0;
};

template <std::size_t N>
void set_name(char (&field)[N], const std::string& name) {
    name.copy(field, N - 1);
}

long map_info(const MapObject& object, InfoBuffer& buffer) {
    bpf_map_info info{};
    if (const int err = buffer.read(info, kMapInfoBytes); err != 0) {
        return err;
    }
    const maps::MapSpec& spec = object.map->spec();
    info = {};
    info.type = static_cast<std::uint32_t>(spec.type);
    info.id = object.map->id();
    info.key_size = spec.key_size;
    info.value_size = spec.value_size;
    info.max_entries = spec.max_entries;
    info.map_flags = spec.flags;
    info.map_extra = spec.extra;
    set_name(info.name, spec.name);
    if (object.btf != nullptr) {
        info.btf_id = object.btf->id();
        info.btf_key_type_id = object.btf_key_type;
        info.btf_value_type_id = object.btf_value_type;
    }
    return buffer.write(info);
}

std::vector<std::uint32_t> map_ids_of(const ProgramObject& object) {
    std::vector<std::uint32_t> ids;
    const auto append = [&ids](const std::shared_ptr<maps::Map>& map) {
        if (std::find(ids.begin(), ids.end(), map->id()) == ids.end()) {
            ids.push_back(map->id());
        }
    };
    std::for_each(object.program->program.maps.begin(), object.program->program.maps.end(), append);
    std::for_each(object.bound_maps.begin(), object.bound_maps.end(), append);
    return ids;
}

long program_info(const ProgramObject& object, InfoBuffer& buffer) {
    bpf_prog_info asked{};
    if (const int err = buffer.read(asked, kProgInfoBytes); err != 0) {
        return err;
    }
    const LoadedProgram& loaded = *object.program;
    const std::vector<std::uint32_t> map_ids = map_ids_of(object);
    const std::size_t wanted_ids = std::min<std::size_t>(asked.nr_map_ids, map_ids.size());
    if (const int err = copy_out(asked.map_ids, map_ids.data(), wanted_ids * sizeof(std::uint32_t));
        err != 0) {
        return err;
    }
    bpf_prog_info info{};
    info.type = BPF_PROG_TYPE_XDP;
    info.id = loaded.id;
    info.jited_prog_len = static_cast<std::uint32_t>(loaded.code.bytes());
    info.xlated_prog_len = static_cast<std::uint32_t>(loaded.program.insns.size() * sizeof(Insn));
    info.load_time = object.load_time_ns;
    info.created_by_uid = getuid();
    info.nr_map_ids = static_cast<std::uint32_t>(map_ids.size());
    info.map_ids = asked.map_ids;
    set_name(info.name, loaded.program.name);
    info.gpl_compatible = loaded.program.gpl_compatible ? 1 : 0;
    info.btf_id = object.btf != nullptr ? object.btf->id() : 0;
    info.verified_insns = static_cast<std::uint32_t>(loaded.verified_insns);
    return buffer.write(info);
}

long btf_info(const Btf& btf, InfoBuffer& buffer) {
    bpf_btf_info info{};
    if (const int err = buffer.read(info, kBtfInfoBytes); err != 0) {
        return err;
    }
    const std::size_t wanted = std::min<std::size_t>(info.btf_size, btf.bytes().size());
    if (const int err = copy_out(info.btf, btf.bytes().data(), wanted); err != 0) {
        return err;
    }
    if (info.name_len != 0) {
        if (const int err = copy_out(info.name, "", 1); err != 0) {
            return err;
        }
    }
    info.btf_size = static_cast<std::uint32_t>(btf.bytes().size());
    info.id = btf.id();
    info.name_len = 0;  // only the kernel's own BTF has a name
    info.kernel_btf = 0;
    return buffer.write(info);
}

}  // namespace

long object_info(Call& call) {
    int error = 0;
    const auto object = object_store::find(static_cast<int>(call.attr.info.bpf_fd), &error);
    if (object == nullptr) {
        return error;
    }
    InfoBuffer buffer(call);
    if (const auto* map = std::get_if<MapObject>(object.get()); map != nullptr) {
        return map_info(*map, buffer);
    }
    if (const auto* program = std::get_if<ProgramObject>(object.get()); program != nullptr) {
        return program_info(*program, buffer);
    }
    if (const auto* btf = std::get_if<BtfObject>(object.get()); btf != nullptr) {
        return btf_info(*btf->btf, buffer);
    }
    return -EINVAL;
}

long btf_load(Call& call) {
    constexpr std::uint32_t kBtfBytesMax = 16U << 20;
    if (call.attr.btf_size > kBtfBytesMax) {
        return -E2BIG;
    }
    std::vector<std::uint8_t> bytes(call.attr.btf_size);
    if (const int err = copy_in(bytes.data(), call.attr.btf, bytes.size()); err != 0) {
        return err;
    }
    auto btf = Btf::parse(std::move(bytes));
    return btf ? publish(BtfObject{*btf}) : -btf.error().code;  // libbpf goes on without
}

long prog_bind_map(Call& call) {
    const auto& bind = call.attr.prog_bind_map;
    if (bind.flags != 0) {
        return -EINVAL;
    }
    int error = 0;
    const auto map = object_store::find_as<MapObject>(static_cast<int>(bind.map_fd), &error);
    if (map == nullptr) {
        return error;
    }
    const auto object = object_store::find(static_cast<int>(bind.prog_fd), &error);
    if (object == nullptr) {
        return error;
    }
    if (auto* program = std::get_if<ProgramObject>(object.get()); program != nullptr) {
        program->bound_maps.push_back(map->map);
        return 0;
    }
    return std::holds_alternative<ProbeProgram>(*object) ? 0 : -EINVAL;
}

}  // namespace crema::ebpf::syscall
