import HTTPTransport
import MirrorModel
import S3Client
import Synchronization

/// The slots of a group on S3.
struct SlotStore: Sendable {
  typealias Slots = [Int: (slot: GroupSlot, version: SlotVersion)]

  /// How a slot is written.
  enum Fencing: Sendable, Hashable {
    /// Under conditions, so that of two attempts S3 refuses one.
    case conditionalWrites
    /// Without conditions, for a server that knows none. The launcher must make sure that each member has one
    /// process only.
    case none
  }

  let store: any ObjectStore
  let mapping: KeyMapping
  let place: GroupPlace
  var fencing = Fencing.conditionalWrites
  /// Sent with every slot, as with other objects: encryption, storage class.
  var headers: HTTPHeaders = [:]
  /// What was read last. A slot whose ETag is unchanged is not read again.
  private let known = Known()

  private final class Known: Sendable {
    let slots = Mutex<[Int: (slot: GroupSlot, version: SlotVersion)]>([:])
  }

  init(
    store: any ObjectStore, mapping: KeyMapping, place: GroupPlace, fencing: Fencing = .conditionalWrites,
    headers: HTTPHeaders = [:]
  ) {
    self.store = store
    self.mapping = mapping
    self.place = place
    self.fencing = fencing
    self.headers = headers
  }

  /// Reads all slots: one listing, and one GetObject for each slot that was written since the last call.
  ///
  /// - Returns: the slots, and the server's clock in the listing's answer.
  /// - Throws: `S3Error`; `MirrorError` that names a damaged slot.
  func read() async throws -> (slots: Slots, date: Int64?) {
    var slots: Slots = [:]
    var date: Int64?
    let known = known.slots.withLock { $0 }
    for try await page in store.listing(prefix: mapping.key(for: place.folder) + "/") {
      date = page.serverDate
      for object in page.objects {
        guard let path = mapping.path(forKey: object.key), let member = place.member(at: path) else {
          continue
        }
        if let old = known[member], !object.etag.isEmpty, old.version == object.etag {
          slots[member] = old
        } else {
          slots[member] = try await slot(of: member)
        }
      }
    }
    self.known.slots.withLock { [slots] in $0 = slots }
    return (slots, date)
  }

  /// Nil if the slot was deleted since it was listed.
  private func slot(of member: Int) async throws -> (slot: GroupSlot, version: SlotVersion)? {
    let key = mapping.key(for: place.path(of: member))
    do {
      let answer = try await store.send(GetObject(key: key))
      return (try GroupSlot(json: answer.body), answer.head.etag)
    } catch let error as S3Error where error.isMissingKey {
      return nil
    } catch let error as UnreadableSlot {
      throw MirrorError(
        .configuration,
        "s3://\(store.bucket)/\(key) is no slot of a group: \(error.reason); delete it if no mirror of the group \(place.group) runs"
      )
    }
  }

  /// The slot of a member as it was read last.
  func known(of member: Int) -> GroupSlot? { known.slots.withLock { $0[member]?.slot } }

  /// Writes a member's slot, if it still has this version or, with nil, does not exist.
  ///
  /// - Throws: `S3Error` if the server's answer is neither a success nor a refusal of the condition.
  func write(_ slot: GroupSlot, of member: Int, over version: SlotVersion?) async throws
    -> GroupMember.WriteAnswer
  {
    let answer = try await put(
      mapping.key(for: place.path(of: member)), slot.json,
      if: version.map { .ifMatch($0) } ?? .ifAbsent)
    // The next listing shows this version, so the slot need not be read.
    if case .accepted(let version) = answer { known.slots.withLock { $0[member] = (slot, version) } }
    return answer
  }

  private func put(_ key: String, _ body: [UInt8], if condition: WriteCondition) async throws
    -> GroupMember.WriteAnswer
  {
    do {
      let answer = try await store.send(
        PutObject(
          key: key, body: BytesBody(body), contentType: "application/json",
          condition: fencing == .none ? nil : condition, extraHeaders: headers))
      return .accepted(answer.etag)
    } catch let error as S3Error where error.isPreconditionFailed || error.status == 409 {
      return .refused
    } catch let error as S3Error where error.isMissingKey {
      // There is no object that could have the version.
      return .refused
    }
  }

  // MARK: Does the server know conditions?

  /// The object with which the conditions are tried. It stays, so that later entries need not write it.
  private static let probe = UnitReceipt.folder.appending("conditional-write-probe")
  private static let probeContent = Array(
    "s3mirror tries here whether the server knows conditional writes\n".utf8)

  /// Finds out whether the server carries out conditional writes, by two requests (three the first time).
  ///
  /// A server that ignores the conditions would let two attempts of one member write at the same time.
  ///
  /// - Throws: `MirrorError.configuration` if it does not; `S3Error`.
  func checkConditions() async throws {
    guard fencing == .conditionalWrites else { return }
    let key = mapping.key(for: Self.probe)
    do {
      if case .accepted = try await put(key, Self.probeContent, if: .ifAbsent) {
        guard try await put(key, Self.probeContent, if: .ifAbsent) == .refused else {
          throw unconditional("If-None-Match")
        }
      }
      let noVersion = String(repeating: "0", count: 32)
      guard try await put(key, Self.probeContent, if: .ifMatch(noVersion)) == .refused else {
        throw unconditional("If-Match")
      }
    } catch let error as S3Error where S3ErrorTriage.refusesOperation(error) {
      throw unconditional("conditions (\(error))")
    }
  }

  private func unconditional(_ condition: String) -> MirrorError {
    MirrorError(
      .configuration,
      "the server does not carry out \(condition) on PutObject, so it cannot tell the members of the group \(place.group) who may write; use a server that does, or --no-fencing if the launcher makes sure that no member has two processes"
    )
  }
}
