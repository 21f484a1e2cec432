import Digests
import Foundation
import Glibc
import LocalTree
import MirrorModel
import S3Client
import Synchronization
import SystemPackage
import TestSupport
import Testing
import Transfers

/// A directory, a bucket in memory and the resources of a run, for one test.
///
/// The directory is on tmpfs, unless asked otherwise: every Linux has it at /dev/shm, and its leases are the kernel's own.
final class TransferFixture: Sendable {
  let path: String
  let root: TreeRoot
  let store: FakeObjectStore
  let resources: TransferResources
  let pending = PendingUploads()

  /// - Parameters:
  ///   - budgetBytes: memory for payloads; that of one part makes parts go one after the other.
  ///   - copyBytes: disk for private copies; none, so that a change ends the upload it happens in.
  init(
    in parent: String = "/dev/shm", workers: Int = 4,
    budgetBytes: Int64 = TransferResources.defaultBudgetBytes, copyBytes: Int64 = 0,
    copyDirectory: String = "/dev/shm",
    behaviour: FakeBucket.Behaviour = .init()
  ) throws {
    path = parent + "/s3mirror-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    root = try TreeRoot(path: FilePath(path))
    store = FakeObjectStore(behaviour: behaviour)
    resources = try TransferResources(
      workers: workers, budgetBytes: budgetBytes, copyBytes: copyBytes, copyDirectory: copyDirectory)
  }

  // Never comes while a closure that the store keeps holds the fixture: such closures capture it unowned.
  deinit {
    resources.stop()
    do { try FileManager.default.removeItem(atPath: path) } catch { Issue.record(error) }
  }

  /// The smallest parts that S3 takes: 5 MiB.
  var settings: UploadSettings {
    var settings = UploadSettings()
    settings.singleThreshold = UploadPlan.Limit.smallestPart
    settings.partBytes = UploadPlan.Limit.smallestPart
    settings.settle = .zero
    return settings
  }

  func uploader(
    _ settings: UploadSettings? = nil, pending: PendingUploads? = nil, store: (any ObjectStore)? = nil
  ) -> Uploader {
    Uploader(
      store: store ?? self.store, resources: resources, settings: settings ?? self.settings,
      pending: pending ?? self.pending, wallClock: FakeClock.system)
  }

  /// Publishes a file under its own name.
  @discardableResult
  func upload(
    _ name: RelativePath, isCloseSeen: Bool = true, openFiles: OpenFilePolicy = .wait,
    versions: PublishableVersions = .anyWhole, pending: PendingUploads? = nil,
    beforePublication: @escaping @Sendable () async throws -> Void = {}
  ) async throws -> UploadReceipt {
    try await uploader(pending: pending).upload(
      name, of: root, to: name.string, isCloseSeen: isCloseSeen, openFiles: openFiles, versions: versions,
      beforePublication: beforePublication)
  }

  // MARK: Files

  func url(_ name: String) -> URL { URL(fileURLWithPath: path + "/" + name) }

  func write(_ name: String, _ bytes: [UInt8]) throws {
    let writer = try SoleWriter(url(name).path, O_CREAT | O_TRUNC)
    try writer.write(bytes)
    try writer.close()
  }

  func read(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: url(name))) }

  var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
  }

  /// Writes in place, as a trainer that goes on with its file, and closes.
  func overwrite(_ name: String, _ bytes: [UInt8], at offset: Int) throws {
    let writer = try SoleWriter(url(name).path)
    try writer.write(bytes, at: offset)
    try writer.close()
  }

  /// Adds 1 to a byte through a shared mapping, as `array += 1` does, and is gone. On tmpfs no stamp moves: the page is
  /// mapped writable when it is read, so the store faults no more.
  func addMapped(_ name: String, at offset: Int) throws {
    let length = try read(name).count
    let writer = try SoleWriter(url(name).path, O_RDWR)
    try writer.use { file in
      guard let mapped = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), mapped != MAP_FAILED
      else { return -1 }
      let byte = mapped.advanced(by: offset).assumingMemoryBound(to: UInt8.self)
      byte.pointee &+= 1
      return Int(munmap(mapped, length))
    }
    try writer.close()
  }
}

/// Bytes of which no two 5 MiB parts are equal: 4,099 is prime.
func pattern(_ count: Int, seed: UInt8 = 1) -> [UInt8] {
  let block = (0..<4_099).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) &+ seed }
  var bytes: [UInt8] = []
  bytes.reserveCapacity(count + block.count)
  while bytes.count < count { bytes += block }
  bytes.removeLast(bytes.count - count)
  return bytes
}

let mebibyte = 1 << 20

/// Records that each end in their own CRC-32: then the CRC-32 of a whole tells nothing but its length.
func records(_ count: Int, seed: UInt8) -> [UInt8] {
  let body = pattern(4_092, seed: seed)
  let sum = CRC32(body).value
  let record = body + (0..<4).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) }
  return (0..<count).flatMap { _ in record }
}

/// An answer that sending again does not mend.
func refusal(_ operation: String, code: String = "Teapot", status: Int = 418, message: String = "") -> S3Error
{
  S3Error(
    operation: operation, bucket: "bucket", key: nil, status: status, code: code, message: message)
}

/// Lets tasks through when so many have come.
actor Meeting {
  private let size: Int
  private var waiting: [CheckedContinuation<Void, Never>] = []
  private var arrived = 0

  init(of size: Int) { self.size = size }

  func join() async {
    arrived += 1
    if arrived >= size {
      for each in waiting { each.resume() }
      waiting = []
    } else {
      await withCheckedContinuation { waiting.append($0) }
    }
  }
}
