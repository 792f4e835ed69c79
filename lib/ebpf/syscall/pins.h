// SPDX-License-Identifier: BSD-3-Clause
//
// Pinned objects. An ordinary directory stands for the BPF file system: a pin is an empty file in
// it, known by its inode, so names, folders, renaming and removing are the file system's own. The
// object lives until the last link of its file is gone (collect() looks) or this process ends; the
// file alone means nothing.
//
// Threads: any.
#pragma once

#include <memory>

#include "lib/base/result.h"
#include "lib/base/unique_fd.h"
#include "lib/ebpf/syscall/object_store.h"

namespace crema::ebpf::syscall::pins {

/// The directory that stands for /sys/fs/bpf; without it nothing can be pinned.
[[nodiscard]] Status set_directory(const std::string& path);

/// True when `directory`, a descriptor, is that directory or lies in it.
[[nodiscard]] bool is_inside(int directory);

/// Keeps `object` as long as `file` has a name. The file is new.
void add(UniqueFd file, std::shared_ptr<StoredObject> object);

/// Null: the file is no pin.
[[nodiscard]] std::shared_ptr<StoredObject> find(int file);

/// Lets go of objects whose file was removed.
void collect();

/// Forgets all pins and the directory.
void clear();

}  // namespace crema::ebpf::syscall::pins
