import CCurl

/// Determines the kind of a failure from libcurl's result. This is the only place that knows libcurl's codes
/// (libcurl-errors(3)).
struct ErrorTriage {
  enum Connection {
    case fresh, reused
  }

  var result: CURLcode
  /// From CURLOPT_ERRORBUFFER(3); may be empty.
  var message: String
  var connection: Connection
  var bytesReceived: Int64
  /// OpenSSL's result for the certificate (CURLINFO_SSL_VERIFYRESULT(3)); 0 means valid or not checked.
  var verifyResult = 0
  /// Whether any part of the request had been sent when the transfer ended.
  var request = Request.unsent

  enum Request {
    case unsent, sent
  }

  var kind: TransportError.Kind {
    switch result {
    case CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_CONNECT:
      .connect
    case CURLE_SSL_CONNECT_ERROR:
      // A refused handshake and a connection that broke during it have the same code; only the messages
      // differ.
      wasCutInHandshake ? .interrupted : .tls
    case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER, CURLE_SSL_CACERT_BADFILE,
      CURLE_SSL_CRL_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_CLIENTCERT,
      CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_SSL_ENGINE_NOTFOUND, CURLE_SSL_ENGINE_SETFAILED,
      CURLE_SSL_ENGINE_INITFAILED, CURLE_USE_SSL_FAILED:
      .tls
    case CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_GOT_NOTHING:
      connection == .reused && bytesReceived == 0 ? .staleConnection : .interrupted
    case CURLE_SEND_FAIL_REWIND:
      .interrupted
    case CURLE_PARTIAL_FILE:
      .truncated
    case CURLE_OPERATION_TIMEDOUT:
      .timeout
    case CURLE_OK:
      // libcurl 7.88 reports success if the connection ends within a response's head.
      .interrupted
    case CURLE_WEIRD_SERVER_REPLY, CURLE_BAD_CONTENT_ENCODING:
      .garbled
    default:
      // The request was valid, because it was sent. So the fault came from the other side: another protocol's
      // greeting or version, or a line or head above libcurl's limits (CURLE_UNSUPPORTED_PROTOCOL,
      // CURLE_OUT_OF_MEMORY, CURLE_TOO_LARGE …).
      request == .sent ? .garbled : .invalid
    }
  }

  /// - Parameter target: method and host. It never includes headers or the query, because these may hold
  ///   secrets.
  func error(target: String) -> TransportError {
    // For an invalid proxy URL, libcurl quotes the URL with its password.
    let isQuoting = message.utf8.contains(UInt8(ascii: "@"))
    let text =
      result == CURLE_OK
      ? "the connection ended within the head of the response"
      : message.isEmpty || isQuoting ? String(cString: curl_easy_strerror(result)) : message
    return TransportError(kind, "\(target): \(text) (curl \(result.rawValue))", certificate: certificate)
  }

  var certificate: CertificateFault? {
    switch result {
    case CURLE_SSL_CACERT_BADFILE: .unusableBundle
    // libcurl compares the names itself, after OpenSSL has accepted the certificate and before libcurl
    // records that. The result is then still 1, which here means none (X509_V_ERR_UNSPECIFIED; seen with
    // libcurl 7.88).
    case CURLE_PEER_FAILED_VERIFICATION where [0, 1].contains(verifyResult): .wrongHost
    case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CONNECT_ERROR: Self.fault(verifyResult)
    default: nil
    }
  }

  /// X509_STORE_CTX_get_error(3) by number. The comments have the header's names, because this module does
  /// not import the header.
  private static func fault(_ verifyResult: Int) -> CertificateFault? {
    switch verifyResult {
    // X509_V_ERR_CERT_NOT_YET_VALID, _ERROR_IN_CERT_NOT_BEFORE_FIELD
    case 9, 13: .notYetValid
    // X509_V_ERR_CERT_HAS_EXPIRED, _ERROR_IN_CERT_NOT_AFTER_FIELD
    case 10, 14: .expired
    // X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, _DEPTH_ZERO_SELF_SIGNED_CERT, _SELF_SIGNED_CERT_IN_CHAIN,
    // _UNABLE_TO_GET_ISSUER_CERT_LOCALLY, _UNABLE_TO_VERIFY_LEAF_SIGNATURE, _CERT_UNTRUSTED
    case 2, 18, 19, 20, 21, 27: .unknownAuthority
    // X509_V_ERR_CERT_REVOKED
    case 23: .revoked
    // X509_V_ERR_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH
    case 62, 64: .wrongHost
    default: nil
    }
  }

  /// OpenSSL's texts: SSL_get_error(3) for the first, the reason string of OpenSSL 3 for the last.
  private var wasCutInHandshake: Bool {
    ["SSL_ERROR_SYSCALL", "SSL_ERROR_ZERO_RETURN", "Connection reset", "unexpected eof"]
      .contains { message.contains($0) }
  }
}
