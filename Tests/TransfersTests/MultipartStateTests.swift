import Digests
import MirrorModel
import TestSupport
import Testing

@testable import Transfers

/// Races as scripts: what happened, in that order, and what follows. Nothing here does I/O.
@Suite struct MultipartStateTests {
  private struct Fault: Error {}

  private static func part(_ number: Int, isReused: Bool = false) -> MultipartState.Part {
    .init(
      number: number, etag: "e\(number)", crc: CRC32(), byteCount: 1, check: .crc32, attempts: 1,
      isReused: isReused)
  }

  /// A state whose upload `u` is open and has its first parts in flight.
  private static func sending(_ count: Int, width: Int, isResumed: Bool = false) -> MultipartState {
    var state = MultipartState(partCount: count, width: width)
    _ = state.opened("u", isResumed: isResumed)
    return state
  }

  /// A state of one part that is sent and proved.
  private static func completing(isResumed: Bool = false) -> MultipartState {
    var state = sending(1, width: 1, isResumed: isResumed)
    _ = state.partSent(part(1))
    return state
  }

  @Test(.promise("PUB-9"))
  func `parts go out as wide as allowed, each answer makes room for one, and the proof comes last`() {
    var state = MultipartState(partCount: 4, width: 2)
    #expect(state.begin().text == "open resumedOrCreated")
    #expect(state.opened("u", isResumed: false).text == "send [1, 2]")
    #expect(state.partSent(Self.part(2)).text == "send [3]")
    #expect(state.partSent(Self.part(1)).text == "send [4]")
    #expect(state.partSent(Self.part(4)).text == "wait")
    #expect(state.partSent(Self.part(3)).text == "over prove")
    #expect(state.proved().text == "complete u [1, 2, 3, 4]")
    #expect(state.completed().text == "succeed [1, 2, 3, 4]")
  }

  @Test func `fewer parts than the width are all there is`() {
    var state = MultipartState(partCount: 2, width: 9)
    #expect(state.opened("u", isResumed: false).text == "send [1, 2]")
  }

  @Test func `a failed part ends the others, and the upload is left`() {
    var state = Self.sending(9, width: 3)
    #expect(state.partFailed(2, .failed(Fault())).text == "cancel")
    #expect(state.partFailed(1, .cancelled(.abort)).text == "wait")
    #expect(state.partFailed(3, .cancelled(.abort)).text == "over leave u")
    #expect(state.ended().text == "fail Fault")
  }

  @Test func `a part that is sent after another failed starts none`() {
    var state = Self.sending(9, width: 2)
    _ = state.partFailed(1, .failed(Fault()))
    #expect(state.partSent(Self.part(2)).text == "over leave u")
  }

  @Test func `the graver of two troubles decides, in whichever order they come`() {
    for order in [[0, 1], [1, 0]] {
      let troubles: [MultipartState.Trouble] = [.failed(Fault()), .abandoned(.changed)]
      var state = Self.sending(9, width: 2)
      _ = state.partFailed(1, troubles[order[0]])
      #expect(state.partFailed(2, troubles[order[1]]).text == "over abort u")
      #expect(state.ended().text == "fail changed")
    }
  }

  @Test func `an upload that cannot be made of copies is aborted, and is not begun anew`() {
    var state = Self.sending(9, width: 2)
    #expect(state.partFailed(1, .notCopied(.otherVersion)).text == "cancel")
    #expect(state.partFailed(2, .uploadGone(Fault())).text == "over abort u")
    #expect(state.ended().text == "fail DeltaFailure")
    var completing = Self.completing()
    #expect(completing.completionFailed(.notCopied(.wrongCopy)).text == "abort u")
    #expect(completing.ended().text == "fail DeltaFailure")
  }

  @Test func `a cancelled upload is aborted or left, as the run has it`() {
    var aborted = Self.sending(9, width: 1)
    #expect(aborted.partFailed(1, .cancelled(.abort)).text == "over abort u")
    #expect(aborted.ended().text == "fail CancellationError")
    var left = Self.sending(9, width: 1)
    #expect(left.partFailed(1, .cancelled(.leave)).text == "over leave u")
  }

  @Test func `an upload that vanished is begun anew, once`() {
    var state = Self.sending(3, width: 2)
    _ = state.partFailed(1, .uploadGone(Fault()))
    #expect(state.partFailed(2, .cancelled(.abort)).text == "over open created")
    #expect(state.opened("v", isResumed: false).text == "send [1, 2]")
    _ = state.partFailed(2, .uploadGone(Fault()))
    #expect(state.partFailed(1, .cancelled(.abort)).text == "over fail Fault")
  }

  @Test func `parts of the vanished upload are not named in the new one's completion`() {
    var state = Self.sending(2, width: 1)
    _ = state.partSent(Self.part(1))
    _ = state.partFailed(2, .uploadGone(Fault()))
    #expect(state.opened("v", isResumed: false).text == "send [1]")
    #expect(state.partSent(Self.part(1)).text == "send [2]")
    #expect(state.partSent(Self.part(2)).text == "over prove")
    #expect(state.proved().text == "complete v [1, 2]")
  }

  @Test func `a completion that finds no upload is settled by looking`() {
    var found = Self.completing()
    #expect(found.completionFailed(.uploadGone(Fault())).text == "settle [1]")
    #expect(found.settled(isPublished: true).text == "succeed [1]")
    var absent = Self.completing()
    _ = absent.completionFailed(.uploadGone(Fault()))
    #expect(absent.settled(isPublished: false).text == "open created")
    _ = absent.opened("v", isResumed: false)
    _ = absent.partSent(Self.part(1))
    _ = absent.completionFailed(.uploadGone(Fault()))
    #expect(absent.settled(isPublished: false).text == "fail Fault")
    #expect(absent.settlingFailed(Fault()).text == "fail Fault")
  }

  @Test func `a conflict at the completion begins anew, once, and aborts what it leaves`() {
    var state = Self.completing()
    #expect(state.completionFailed(.conflict(Fault())).text == "abort u")
    #expect(state.ended().text == "open created")
    _ = state.opened("v", isResumed: false)
    _ = state.partSent(Self.part(1))
    #expect(state.completionFailed(.conflict(Fault())).text == "abort v")
    #expect(state.ended().text == "fail Fault")
  }

  @Test func `a resumed upload that is worth nothing does not use up the one restart`() {
    var state = Self.completing(isResumed: true)
    #expect(state.completionFailed(.unusable(Fault())).text == "abort u")
    #expect(state.ended().text == "open created")
    _ = state.opened("v", isResumed: false)
    _ = state.partSent(Self.part(1))
    #expect(state.completionFailed(.conflict(Fault())).text == "abort v")
    #expect(state.ended().text == "open created")
  }

  @Test func `a completion that the network lost leaves the upload, for it may be there or not`() {
    var state = Self.completing()
    #expect(state.completionFailed(.failed(Fault())).text == "leave u")
  }

  @Test func `a proof that fails aborts, a gate that throws leaves`() {
    var torn = Self.completing()
    #expect(torn.proofFailed(.abandoned(.openForWriting)).text == "abort u")
    #expect(torn.ended().text == "fail openForWriting")
    var held = Self.completing()
    #expect(held.proofFailed(.failed(Fault())).text == "leave u")
  }
}

extension MultipartState.Step {
  var text: String {
    switch self {
    case .open(let opening): "open \(opening)"
    case .send(let numbers): "send \(numbers)"
    case .prove: "prove"
    case .complete(let uploadID, let parts): "complete \(uploadID) \(parts.map(\.number))"
    case .settle(let parts): "settle \(parts.map(\.number))"
    case .abort(let uploadID): "abort \(uploadID)"
    case .leave(let uploadID): "leave \(uploadID)"
    case .succeed(let parts): "succeed \(parts.map(\.number))"
    case .fail(let abandoned as UploadAbandoned):
      switch abandoned {
      case .vanished: "fail vanished"
      case .changed: "fail changed"
      case .openForWriting: "fail openForWriting"
      case .notAppended: "fail notAppended"
      case .restless: "fail restless"
      case .heldBack: "fail heldBack"
      }
    case .fail(let error): "fail \(type(of: error))"
    }
  }
}

extension MultipartState.WaveStep {
  var text: String {
    switch self {
    case .send(let numbers): "send \(numbers)"
    case .wait: "wait"
    case .cancel: "cancel"
    case .over(let step): "over \(step.text)"
    }
  }
}
