// SPDX-License-Identifier: BSD-3-Clause
//
// What OBJ_GET_INFO_BY_FD tells of a program. Its instructions are shown as they were proved: the
// kernel shows them after its rewriting (context accesses, inlined helpers), we have no such form.
// Calls and maps are written as in the kernel's dumps, so that tools find their names.
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/syscall/info_buffer.h"

namespace crema::ebpf::syscall {
namespace {

std::vector<std::uint32_t> map_ids_of(const LoadedProgram& loaded) {
    std::vector<std::uint32_t> ids;
    const auto append = [&ids](const std::shared_ptr<maps::Map>& map) {
        if (std::find(ids.begin(), ids.end(), map->id()) == ids.end()) {
            ids.push_back(map->id());
        }
    };
    std::for_each(loaded.program.maps.begin(), loaded.program.maps.end(), append);
    const auto bound = loaded.bound_maps.all();
    std::for_each(bound.begin(), bound.end(), append);
    return ids;
}

/// Distances of the kernel's helpers from what it counts calls from, by name. Tools look a call's
/// target up in /proc/kallsyms; where that shows no addresses the table is empty.
class HelperAddresses {
  public:
    HelperAddresses() {
        std::ifstream symbols("/proc/kallsyms");
        std::uint64_t address = 0;
        std::string kind;
        std::string name;
        std::string rest;
        std::uint64_t base = 0;
        while (symbols >> std::hex >> address >> kind >> name) {
            std::getline(symbols, rest);
            if (name == "__bpf_call_base") {
                base = address;
            } else if (name.starts_with("bpf_") && rest.empty()) {
                by_name_.emplace(name, address);
            }
        }
        if (base == 0) {
            by_name_.clear();
        }
        for (auto& [symbol, at] : by_name_) {
            at -= base;
        }
    }

    /// `number` itself when the helper's place is not known.
    [[nodiscard]] std::int32_t of(std::int32_t number) const {
        const auto found = by_name_.find(std::string("bpf_") +
                                         helpers::name_of(static_cast<std::uint32_t>(number)));
        return found != by_name_.end() ? static_cast<std::int32_t>(found->second) : number;
    }

  private:
    std::unordered_map<std::string, std::uint64_t> by_name_;
};

std::vector<Insn> shown_insns(const Program& program) {
    static const HelperAddresses addresses;
    std::vector<Insn> insns = program.insns;
    for (std::size_t i = 0; i < insns.size(); ++i) {
        Insn& insn = insns[i];
        if (insn.code == op::kLdImm64) {
            if (insn.src == op::kPseudoMap || insn.src == op::kPseudoMapValue) {
                insn.imm = static_cast<std::int32_t>(
                    program.maps[static_cast<std::size_t>(insn.imm)]->id());
            }
            ++i;
        } else if (insn.code == (op::kJmp | op::kCall) && insn.src == 0) {
            constexpr std::int32_t kTailCall = 12;  // the kernel shows it by number, too
            insn.imm = insn.imm == kTailCall ? insn.imm : addresses.of(insn.imm);
        }
    }
    return insns;
}

struct MachineCode {
    std::vector<std::uint8_t> bytes;
    std::vector<std::uint64_t> addresses;
    std::vector<std::uint32_t> lengths;
};

MachineCode machine_code_of(const lowering::Code& code) {
    MachineCode all;
    for (const lowering::Code::Function& function : code.functions()) {
        const auto* start = reinterpret_cast<const std::uint8_t*>(function.address);
        all.bytes.insert(all.bytes.end(), start, start + function.bytes);
        all.addresses.push_back(function.address);
        all.lengths.push_back(static_cast<std::uint32_t>(function.bytes));
    }
    return all;
}

/// A record size that the caller names must be the kernel's, and is told in any case.
bool agree_on_size(std::uint32_t count, std::uint32_t& size, std::size_t ours) {
    const bool agreed = (count == 0 && size == 0) || size == ours;
    size = static_cast<std::uint32_t>(ours);
    return agreed;
}

int write_code(const LoadedProgram& loaded, bpf_prog_info& info) {
    const std::vector<Insn> insns = shown_insns(loaded.program);
    const std::uint32_t room = info.xlated_prog_len;
    info.xlated_prog_len = static_cast<std::uint32_t>(insns.size() * sizeof(Insn));
    if (const int err =
            copy_out(info.xlated_prog_insns, insns.data(), std::min(room, info.xlated_prog_len));
        err != 0) {
        return err;
    }
    const MachineCode code = machine_code_of(loaded.code);
    const std::vector<ProgramTag> tags(std::max<std::size_t>(code.lengths.size(), 1), loaded.tag);
    int err = InfoBuffer::write_array(info.jited_prog_insns, info.jited_prog_len, code.bytes);
    if (err == 0) {
        err = InfoBuffer::write_array(info.jited_ksyms, info.nr_jited_ksyms, code.addresses);
    }
    if (err == 0) {
        err = InfoBuffer::write_array(info.jited_func_lens, info.nr_jited_func_lens, code.lengths);
    }
    return err == 0 ? InfoBuffer::write_array(info.prog_tags, info.nr_prog_tags, tags) : err;
}

/// What an extension was loaded for; the program is forgotten once it was put in its place.
void set_target(const LoadedProgram& loaded, bpf_prog_info& info) {
    info.attach_btf_obj_id = 0;
    info.attach_btf_id = 0;
    if (loaded.extension != nullptr) {
        const std::lock_guard lock(loaded.extension->mutex);
        const auto& target = loaded.extension->target;
        info.attach_btf_obj_id = target != nullptr ? target->program.btf->id() : 0;
        info.attach_btf_id = loaded.extension->btf_type;
    }
}

int write_debug_records(const LoadedProgram& loaded, bpf_prog_info& info) {
    // Which machine code belongs to which line is not kept.
    info.nr_jited_line_info = 0;
    const int err =
        InfoBuffer::write_array(info.func_info, info.nr_func_info, loaded.debug.functions);
    return err == 0 ? InfoBuffer::write_array(info.line_info, info.nr_line_info, loaded.debug.lines)
                    : err;
}

}  // namespace

long program_info(const LoadedProgram& loaded, InfoBuffer& buffer) {
    bpf_prog_info info{};
    if (const int err = buffer.read(info, kProgInfoBytes); err != 0) {
        return err;
    }
    info.type = loaded.extension != nullptr ? BPF_PROG_TYPE_EXT : BPF_PROG_TYPE_XDP;
    info.id = loaded.id;
    std::copy(loaded.tag.begin(), loaded.tag.end(), info.tag);
    info.load_time = loaded.load_time_ns;
    info.created_by_uid = loaded.uid;
    info.gpl_compatible = loaded.program.gpl_compatible ? 1 : 0;
    std::fill(std::begin(info.name), std::end(info.name), '\0');
    set_name(info.name, loaded.program.name);
    if (const int err = InfoBuffer::write_array(info.map_ids, info.nr_map_ids, map_ids_of(loaded));
        err != 0) {
        return err;
    }
    constexpr std::size_t kJitedLineBytes = 8;
    if (!agree_on_size(info.nr_func_info, info.func_info_rec_size, sizeof(FunctionRecord)) ||
        !agree_on_size(info.nr_line_info, info.line_info_rec_size, sizeof(LineRecord)) ||
        !agree_on_size(info.nr_jited_line_info, info.jited_line_info_rec_size, kJitedLineBytes)) {
        return -EINVAL;
    }
    info.run_time_ns = loaded.stats.ns();
    info.run_cnt = loaded.stats.runs();
    info.recursion_misses = 0;
    info.verified_insns = static_cast<std::uint32_t>(loaded.verified_insns);
    if (const int err = write_code(loaded, info); err != 0) {
        return err;
    }
    info.btf_id = loaded.program.btf != nullptr ? loaded.program.btf->id() : 0;
    set_target(loaded, info);
    if (const int err = write_debug_records(loaded, info); err != 0) {
        return err;
    }
    return buffer.write(info);
}

}  // namespace crema::ebpf::syscall
