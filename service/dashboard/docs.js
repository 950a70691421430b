// The API's documentation, by Swagger UI; all of it comes from this server.

window.SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  displayOperationId: true,
  filter: true,
  validatorUrl: null,
  // A session's cookie counts only beside a header that no foreign page can set.
  requestInterceptor: (request) => {
    request.headers["X-Autokd-Session"] = "1";
    return request;
  },
});
