// SPDX-License-Identifier: BSD-3-Clause
//
// As much of QEMU's interface for plug-ins (version 1, QEMU 4.2 and later) as counter.cpp uses.
// Debian packages no header of it. The functions are found in QEMU itself when it loads the
// plug-in.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

using PluginId = std::uint64_t;
using MemoryInfo = std::uint32_t;
struct TranslationBlock;
struct TranslatedInsn;

enum class CallbackFlags : int { no_registers = 0 };
enum class Accesses : int { reads = 1, writes = 2, both = 3 };

using TranslationCallback = void (*)(PluginId id, TranslationBlock* block);
using ExecutionCallback = void (*)(unsigned vcpu, void* own);
using AccessCallback = void (*)(unsigned vcpu, MemoryInfo info, std::uint64_t address, void* own);

void qemu_plugin_register_vcpu_tb_trans_cb(PluginId id, TranslationCallback callback);
std::size_t qemu_plugin_tb_n_insns(const TranslationBlock* block);
TranslatedInsn* qemu_plugin_tb_get_insn(const TranslationBlock* block, std::size_t index);
const void* qemu_plugin_insn_data(const TranslatedInsn* insn);
std::uint64_t qemu_plugin_insn_vaddr(const TranslatedInsn* insn);
void qemu_plugin_register_vcpu_insn_exec_cb(TranslatedInsn* insn,
                                            ExecutionCallback callback,
                                            CallbackFlags flags,
                                            void* own);
void qemu_plugin_register_vcpu_mem_cb(TranslatedInsn* insn,
                                      AccessCallback callback,
                                      CallbackFlags flags,
                                      Accesses accesses,
                                      void* own);
bool qemu_plugin_mem_is_store(MemoryInfo info);
unsigned qemu_plugin_mem_size_shift(MemoryInfo info);

/// Read by QEMU before anything else.
[[gnu::visibility("default")]] extern int qemu_plugin_version;

/// Called once; not 0: the plug-in does not want to. The structure about the machine is not used.
[[gnu::visibility("default")]] int qemu_plugin_install(PluginId id,
                                                       const void* about,
                                                       int argc,
                                                       char** argv);
}
