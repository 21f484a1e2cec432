import Digests
import SigV4
import Testing

func hexadecimal(of bytes: [UInt8]) -> String { hexadecimal(sha256(bytes)) }

@Suite struct GeneralVectorTests {
  @Test func `the whole suite is here`() throws {
    #expect(try GeneralVector.all().count == 30)
  }

  @Test(arguments: try GeneralVector.all())
  func `a request signed in its headers gives AWS's steps`(vector: GeneralVector) throws {
    let signature = vector.signer.signature(
      for: vector.request, credentials: vector.credentials, at: vector.time)
    #expect(try signature.canonicalRequest.text == vector.file("header-canonical-request.txt"))
    #expect(try signature.stringToSign == vector.file("header-string-to-sign.txt"))
    #expect(try signature.text == vector.file("header-signature.txt"))
  }

  @Test(arguments: try GeneralVector.all())
  func `the added fields are those of AWS's signed request`(vector: GeneralVector) throws {
    let signed = try vector.file("header-signed-request.txt").split(separator: "\n").map(lowercasedName)
    let own = Set(vector.request.headers.map { lowercasedName("\($0.name):") })
    let fields = vector.signer.headers(for: vector.request, credentials: vector.credentials, at: vector.time)
    for field in fields {
      #expect(signed.contains(lowercasedName("\(field.name):\(field.value)")))
      #expect(!own.contains(lowercasedName("\(field.name):")))
    }
  }

  @Test(arguments: try GeneralVector.all())
  func `a presigned request gives AWS's steps`(vector: GeneralVector) throws {
    let signature = vector.signer.presignature(
      for: vector.request, credentials: vector.credentials, at: vector.time,
      expiresInSeconds: vector.expiresInSeconds)
    #expect(try signature.canonicalRequest.text == vector.file("query-canonical-request.txt"))
    #expect(try signature.stringToSign == vector.file("query-string-to-sign.txt"))
    #expect(try signature.text == vector.file("query-signature.txt"))
  }

  @Test(arguments: try GeneralVector.all())
  func `the presigned query is that of AWS's signed request`(vector: GeneralVector) throws {
    let start = try #require(try vector.file("query-signed-request.txt").split(separator: "\n").first)
    let target = start.dropFirst(vector.request.method.count + 1).dropLast(" HTTP/1.1".count)
    let presigned = vector.signer.presignedQuery(
      for: vector.request, credentials: vector.credentials, at: vector.time,
      expiresInSeconds: vector.expiresInSeconds)
    #expect(canonicalQuery(presigned) == canonicalQuery(query(of: target)))
  }

  private func lowercasedName(_ line: some StringProtocol) -> String {
    let name = line.prefix { $0 != ":" }
    return name.lowercased() + line.dropFirst(name.count)
  }
}
