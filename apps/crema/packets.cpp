// SPDX-License-Identifier: BSD-3-Clause
#include "apps/crema/packets.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <pcap/pcap.h>

namespace crema::command {
namespace {

constexpr int kSnapBytes = 65535;

/// libpcap's text without the path that it may begin with.
std::string reason(const std::string& path, const char* text) {
    const std::string said = text;
    return said.starts_with(path + ": ") ? said.substr(path.size() + 2) : said;
}

}  // namespace

void CaptureReader::Close::operator()(pcap* handle) const {
    pcap_close(handle);
}

void CaptureWriter::Close::operator()(pcap* handle) const {
    pcap_close(handle);
}

void CaptureWriter::Close::operator()(pcap_dumper* handle) const {
    pcap_dump_close(handle);
}

Result<CaptureReader> CaptureReader::open(const std::string& path) {
    std::array<char, PCAP_ERRBUF_SIZE> why{};
    CaptureReader reader;
    reader.path_ = path;
    errno = 0;
    reader.handle_.reset(pcap_open_offline_with_tstamp_precision(
        path.c_str(), PCAP_TSTAMP_PRECISION_NANO, why.data()));
    if (reader.handle_ == nullptr) {
        return fail(errno != 0 ? errno : EINVAL, "{}: not a capture: {}", path,
                    reason(path, why.data()));
    }
    if (const int type = pcap_datalink(reader.handle_.get()); type != DLT_EN10MB) {
        const char* const name = pcap_datalink_val_to_name(type);
        return fail(ENOTSUP, "{}: packets of link type {}: only Ethernet (EN10MB) can be run", path,
                    name != nullptr ? std::string(name) : std::to_string(type));
    }
    return reader;
}

Result<std::optional<CapturedPacket>> CaptureReader::next() {
    pcap_pkthdr* header = nullptr;
    const u_char* bytes = nullptr;
    const int rc = pcap_next_ex(handle_.get(), &header, &bytes);
    if (rc == PCAP_ERROR_BREAK) {
        return std::optional<CapturedPacket>{};
    }
    if (rc != 1) {
        return fail(EINVAL, "{}: damaged behind packet {}: {}", path_, read_,
                    reason(path_, pcap_geterr(handle_.get())));
    }
    ++read_;
    return CapturedPacket{.time = header->ts, .bytes = {bytes, bytes + header->caplen}};
}

Result<CaptureWriter> CaptureWriter::open(const std::string& path) {
    CaptureWriter writer;
    writer.path_ = path;
    writer.form_.reset(
        pcap_open_dead_with_tstamp_precision(DLT_EN10MB, kSnapBytes, PCAP_TSTAMP_PRECISION_NANO));
    if (writer.form_ == nullptr) {
        return fail(ENOMEM, "{}: libpcap has no memory", path);
    }
    errno = 0;
    writer.file_.reset(pcap_dump_open(writer.form_.get(), path.c_str()));
    if (writer.file_ == nullptr) {
        return fail(errno != 0 ? errno : EIO, "{}: cannot be written: {}", path,
                    reason(path, pcap_geterr(writer.form_.get())));
    }
    return writer;
}

void CaptureWriter::write(const timeval& time, std::span<const std::uint8_t> bytes) {
    const pcap_pkthdr header = {.ts = time,
                                .caplen = static_cast<bpf_u_int32>(bytes.size()),
                                .len = static_cast<bpf_u_int32>(bytes.size())};
    pcap_dump(reinterpret_cast<u_char*>(file_.get()), &header, bytes.data());
}

Status CaptureWriter::finish() {
    const bool failed =
        pcap_dump_flush(file_.get()) != 0 || std::ferror(pcap_dump_file(file_.get())) != 0;
    file_.reset();
    if (failed) {
        return fail(EIO, "{}: could not be written to its end", path_);
    }
    return {};
}

}  // namespace crema::command
