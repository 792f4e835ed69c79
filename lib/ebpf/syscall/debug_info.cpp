// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/debug_info.h"

#include <cerrno>
#include <vector>

#include <linux/bpf.h>

#include "lib/ebpf/program/btf.h"
#include "lib/ebpf/syscall/object_store.h"
#include "lib/ebpf/syscall/user_memory.h"

namespace crema::ebpf::syscall {
namespace {

constexpr std::uint32_t kRecordBytesMax = 252;

static_assert(sizeof(FunctionRecord) == 8 && sizeof(LineRecord) == 16);

/// Where the caller's records are; longer ones than ours must end in zeros.
struct Records {
    std::uint64_t at;
    std::uint32_t count;
    std::uint32_t bytes;  // of one
};

template <typename Record>
Result<std::vector<Record>> copy_records(const Records& from, const char* what) {
    if (from.bytes < sizeof(Record) || from.bytes > kRecordBytesMax || from.bytes % 4 != 0) {
        return fail(EINVAL, "invalid {} record size {}", what, from.bytes);
    }
    std::vector<Record> records(from.count);
    for (std::size_t i = 0; i < records.size(); ++i) {
        const std::uint64_t at = from.at + i * from.bytes;
        const int tail = check_zero(at + sizeof(Record), from.bytes - sizeof(Record));
        if (tail == -E2BIG) {
            return fail(E2BIG, "nonzero tailing record in {}", what);
        }
        if (tail != 0 || copy_in(&records[i], at, sizeof(Record)) != 0) {
            return fail(EFAULT, "{} records cannot be read", what);
        }
    }
    return records;
}

Status read_functions(const Records& from, Program& program, DebugRecords& kept) {
    if (from.count != program.functions.size()) {
        return fail(EINVAL, "number of funcs in func_info doesn't match number of subprogs");
    }
    auto records = copy_records<FunctionRecord>(from, "func info");
    if (!records) {
        return forward_error(records);
    }
    for (std::size_t i = 0; i < records->size(); ++i) {
        const FunctionRecord& record = (*records)[i];
        Function& function = program.functions[i];
        if (record.insn != function.first) {
            return fail(EINVAL,
                        "func_info BTF section doesn't match subprog layout in BPF program");
        }
        const auto type = program.btf->type(record.type);
        if (!type || type->kind != BtfKind::function) {
            return fail(EINVAL, "invalid type id {} in func info", record.type);
        }
        function.name = program.btf->name_of(record.type);
        function.btf_type = record.type;
    }
    kept.functions = std::move(*records);
    return {};
}

Status read_lines(const Records& from, Program& program, DebugRecords& kept) {
    constexpr std::uint32_t kLineShift = 10;
    const std::size_t insns = program.insns.size();
    if (from.count > insns) {
        return fail(EINVAL, "{} line records for {} instructions", from.count, insns);
    }
    auto records = copy_records<LineRecord>(from, "line info");
    if (!records) {
        return forward_error(records);
    }
    std::size_t function = 0;
    for (std::size_t i = 0; i < records->size(); ++i) {
        const LineRecord& record = (*records)[i];
        const bool ascends = i == 0 || record.insn > (*records)[i - 1].insn;
        if (!ascends || record.insn >= insns) {
            return fail(EINVAL, "invalid line_info[{}].insn_off:{} (prog->len:{})", i, record.insn,
                        insns);
        }
        if (program.insns[record.insn].code == 0) {
            return fail(EINVAL, "invalid insn code at line_info[{}].insn_off", i);
        }
        const std::string_view text = program.btf->string_at(record.line_text);
        const std::string_view file = program.btf->string_at(record.file_name);
        if (text.data() == nullptr || file.data() == nullptr) {
            return fail(EINVAL, "invalid line_info[{}].line_off or .file_name_off", i);
        }
        if (function < program.functions.size()) {
            if (record.insn == program.functions[function].first) {
                ++function;
            } else if (record.insn > program.functions[function].first) {
                return fail(EINVAL, "missing bpf_line_info for func#{}", function);
            }
        }
        program.lines.push_back({.insn = record.insn,
                                 .line = record.line_and_column >> kLineShift,
                                 .file = file,
                                 .text = text});
    }
    kept.lines = std::move(*records);
    return function == program.functions.size()
               ? Status{}
               : fail(EINVAL, "missing bpf_line_info for func#{}", function);
}

Status named(const Program& program, const Status& done) {
    return done ? Status{}
                : fail(done.error().code, "program {}: {}", program.name, done.error().message);
}

}  // namespace

Status read_debug_info(const bpf_attr& attr, Program& program, DebugRecords& kept) {
    if (attr.prog_btf_fd == 0 && attr.func_info_cnt == 0 && attr.line_info_cnt == 0) {
        return {};
    }
    int error = 0;
    const auto object =
        object_store::find_as<BtfObject>(static_cast<int>(attr.prog_btf_fd), &error);
    if (object == nullptr) {
        return fail(-error, "program {}: {} is no BTF descriptor", program.name, attr.prog_btf_fd);
    }
    program.btf = object->btf;
    if (program.functions.empty()) {
        Function& whole = program.functions.emplace_back();
        whole.end = static_cast<std::uint32_t>(program.insns.size());
    }
    if (attr.func_info_cnt != 0) {
        const Records records{attr.func_info, attr.func_info_cnt, attr.func_info_rec_size};
        if (auto done = named(program, read_functions(records, program, kept)); !done) {
            return done;
        }
    }
    if (attr.line_info_cnt == 0) {
        return {};
    }
    const Records records{attr.line_info, attr.line_info_cnt, attr.line_info_rec_size};
    return named(program, read_lines(records, program, kept));
}

}  // namespace crema::ebpf::syscall
