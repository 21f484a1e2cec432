import CZlib

/// Compresses batches of bytes, each into a gzip member of its own (RFC 1952).
///
/// Members may follow one another in a file, and a file whose last member is whole is a whole gzip file: `zcat`
/// ends with status 0 at every sync point. The alternative, one member with a flush at every sync point, leaves
/// zcat with "unexpected end of file" and status 1 until the run ends. Measured with zlib level 6 on 20,000 records
/// of 402 bytes, in bytes a record:
///
///     records a batch     1    10    50   200
///     a member each     286    96    76    72
///     Z_FULL_FLUSH      272    94    76    71
///     Z_SYNC_FLUSH      100    74    70    70
///
/// So a member costs what a full flush costs, and only lone records pay: they lose the window, not the trailer.
final class GzipWriter {
  private let stream: UnsafeMutablePointer<z_stream>

  init() {
    // SAFETY: deflate's state points back at its z_stream, so that must not move: it lives on the heap from here to
    // deinit, owned by this object alone. The object is not Sendable; one thread at a time uses it.
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    // 15 window bits is the largest window, 16 more asks for the gzip wrapper (zlib.h, deflateInit2).
    let status = s3m_deflate_init(stream, Z_DEFAULT_COMPRESSION, 15 + 16)
    precondition(
      status == Z_OK, "deflateInit2 returned \(status): out of memory, or a zlib unlike its headers")
  }

  deinit {
    deflateEnd(stream)
    stream.deinitialize(count: 1)
    stream.deallocate()
  }

  /// One whole member that holds these bytes.
  ///
  /// - Precondition: fewer than 4 GiB, since zlib counts its input in 32 bits.
  func member(of bytes: [UInt8]) -> [UInt8] {
    deflateReset(stream)
    let bound = Int(deflateBound(stream, UInt(bytes.count)))
    let inputCount = UInt32(bytes.count)
    return bytes.withUnsafeBufferPointer { input in
      [UInt8](unsafeUninitializedCapacity: bound) { output, count in
        // SAFETY: zlib reads next_in and writes next_out during this call only; both buffers outlive it. zlib
        // does not write to its input, whatever the type without z_const says.
        stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
        stream.pointee.avail_in = inputCount
        stream.pointee.next_out = output.baseAddress
        stream.pointee.avail_out = UInt32(bound)
        let status = deflate(stream, Z_FINISH)
        // deflateBound promises that one call is enough (zlib.h).
        precondition(status == Z_STREAM_END, "deflate returned \(status) within deflateBound")
        count = bound - Int(stream.pointee.avail_out)
        stream.pointee.next_in = nil
        stream.pointee.next_out = nil
      }
    }
  }
}
