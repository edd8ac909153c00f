// The operators' API of the admin port.

export const apiKey = 'a-key-for-the-tests-0123456789';

// Settings of a gateway whose API is on: Gateway.start(t, { env: { ...apiIsOn } }).
export const apiIsOn = { FANTAIL_ADMIN_API_KEY: apiKey };

// One call; its status and parsed reply. A body makes it a POST; a string is sent as it is.
export async function callApi(gateway, call, body, { headers = { authorization: `Bearer ${apiKey}` }, method } = {}) {
    const response = await fetch(`${gateway.adminUrl}/api/v1/${call}`, {
        method: method ?? (body === undefined ? 'GET' : 'POST'),
        headers,
        body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: JSON.parse(text) };
}
