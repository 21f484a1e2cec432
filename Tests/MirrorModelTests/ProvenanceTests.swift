import MirrorModel
import TestSupport
import Testing

/// Whose an object is, from what a listing and the object's metadata tell.
@Suite struct ProvenanceTests {
  private static let second: Int64 = 1_000_000_000
  private static let ours = Provenance.Publication(etag: "e", answered: 100 * second)

  private func object(_ etag: String = "e", at date: Int64 = 100 * second) -> RemoteObject {
    RemoteObject(byteCount: 1, etag: etag, lastModified: date)
  }

  @Test(.promise("DEL-19"), arguments: [Provenance.Signature.unread, .none, .own, .other])
  func `what lay there at entry may go, whoever wrote it`(signature: Provenance.Signature) {
    let provenance = Provenance(of: object(), isOfEntry: true, published: nil, signature: signature)
    #expect(provenance == .entry)
    #expect(provenance.mayGo)
  }

  @Test(.promise("DEL-19"), arguments: [99 * second, 100 * second, 101 * second - 1])
  func `what this run published is its own up to the second of the answer`(date: Int64) {
    let object = object(at: date)
    #expect(Provenance(of: object, isOfEntry: false, published: Self.ours) == .own)
    #expect(Provenance(of: object, isOfEntry: false, published: Self.ours, signature: .other) == .own)
  }

  @Test(.promise("DEL-18"))
  func `the same content of a later date is in doubt until the metadata are read`() {
    let later = object(at: 101 * Self.second)
    func provenance(_ signature: Provenance.Signature) -> Provenance {
      Provenance(of: later, isOfEntry: false, published: Self.ours, signature: signature)
    }
    #expect(provenance(.unread) == .unsettled)
    #expect(provenance(.own) == .own)
    #expect(provenance(.none) == .foreign)
    #expect(provenance(.other) == .foreign)
    #expect(!Provenance.unsettled.mayGo && !Provenance.foreign.mayGo)
  }

  @Test(.promise("DEL-18"))
  func `other content is ours only by its mark`() {
    for published in [nil, Self.ours] {
      let other = object("other", at: 0)
      #expect(Provenance(of: other, isOfEntry: false, published: published) == .unsettled)
      #expect(Provenance(of: other, isOfEntry: false, published: published, signature: .own) == .own)
      #expect(Provenance(of: other, isOfEntry: false, published: published, signature: .none) == .foreign)
      #expect(Provenance(of: other, isOfEntry: false, published: published, signature: .other) == .foreign)
    }
  }

  @Test func `where the server gives no date the tag decides if nobody signed`() {
    let published = Provenance.Publication(etag: "e", answered: nil)
    func provenance(_ signature: Provenance.Signature) -> Provenance {
      Provenance(of: object(), isOfEntry: false, published: published, signature: signature)
    }
    #expect(provenance(.unread) == .unsettled)
    #expect(provenance(.none) == .own)
    #expect(provenance(.other) == .foreign)
  }
}
